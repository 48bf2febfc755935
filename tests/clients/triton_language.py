"""tritonclient, as it is, against a gateway whose worker serves stories15M: a story whole, and piece by piece on a stream.

Environment: GATEWAY (IP:PORT), KEY.
"""

import os
import queue

import numpy as np
import tritonclient.grpc as triton

PARAMETERS = {"max_tokens": 40, "temperature": 0.0}


def prompt(text: str) -> list:
    tensor = triton.InferInput("text_input", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode()], dtype=object))
    return [tensor]


def piece(result) -> str:
    return result.as_numpy("text_output")[0].decode()


def main() -> None:
    client = triton.InferenceServerClient(os.environ["GATEWAY"])
    headers = {"authorization": f"Bearer {os.environ['KEY']}"}
    metadata = client.get_model_metadata("stories", headers=headers)
    assert [(tensor.name, tensor.datatype) for tensor in (*metadata.inputs, *metadata.outputs)] == [
        ("text_input", "BYTES"),
        ("text_output", "BYTES"),
    ], metadata
    # Clients look here whether a request may have several answers.
    config = client.get_model_config("stories", headers=headers).config
    assert config.model_transaction_policy.decoupled, config
    whole = piece(client.infer("stories", prompt("Once upon a time"), parameters=PARAMETERS, headers=headers))
    assert whole.startswith(", there was a little girl"), whole

    answers: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    client.async_stream_infer(
        "stories", prompt("Once upon a time"), request_id="7", parameters=PARAMETERS, enable_empty_final_response=True
    )
    pieces = []
    while True:
        result, error = answers.get(timeout=30)
        assert error is None, error
        response = result.get_response()
        assert response.id == "7", response
        if response.parameters["triton_final_response"].bool_param:
            break
        pieces.append(piece(result))
    assert len(pieces) > 20 and "".join(pieces) == whole, pieces
    client.async_stream_infer("stories", prompt("Tom"), parameters={"temperature": 9.0})
    result, error = answers.get(timeout=30)
    assert result is None and "temperature" in error.message(), error
    client.stop_stream()
    print("tritonclient is content")


if __name__ == "__main__":
    main()
