"""tritonclient.http, as it is, against a gateway: what the server and a model are, and what the model answers, by JSON and in binary.

Environment: GATEWAY (IP:PORT), KEY, GOLDEN (tests/golden/minilm.json).
"""

import json
import os

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


def tensors(rows: list, binary: bool) -> list:
    """input_ids and attention_mask of texts of different lengths."""
    longest = max(len(ids) for ids in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    made = []
    for name, values in (("input_ids", ids), ("attention_mask", mask)):
        tensor = triton.InferInput(name, list(values.shape), "INT64")
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def the_server_and_the_model_describe_themselves(client, headers) -> None:
    assert client.is_server_live() and client.is_server_ready()
    server = client.get_server_metadata(headers=headers)
    assert server["name"] == "torchmesh" and "binary_tensor_data" in server["extensions"], server
    assert client.is_model_ready("minilm", headers=headers) and client.is_model_ready("minilm", "1", headers=headers)
    assert not client.is_model_ready("nope", headers=headers)
    metadata = client.get_model_metadata("minilm", headers=headers)
    assert [(t["name"], t["datatype"], t["shape"]) for t in metadata["inputs"]] == [
        ("input_ids", "INT64", [-1, -1]),
        ("attention_mask", "INT64", [-1, -1]),
    ], metadata
    assert metadata["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}], metadata
    assert metadata == client.get_model_metadata("minilm", "1", headers=headers)
    config = client.get_model_config("minilm", headers=headers)
    assert config["name"] == "minilm" and config["max_batch_size"] >= 1, config
    assert config["input"][0]["data_type"] == "TYPE_INT64" and config["output"][0]["dims"] == [384], config
    index = client.get_model_repository_index(headers=headers)
    assert any(m["name"] == "minilm" and m["state"] == "READY" for m in index), index


def the_embeddings_are_the_references(client, headers) -> None:
    with open(os.environ["GOLDEN"]) as file:
        items = json.load(file)["items"]
    wanted = np.array([item["embedding"] for item in items])
    forms = [(True, None), (False, False), (True, False), (False, True)]
    for at, item in enumerate(items):
        # Input and output each in JSON and in binary, in turn.
        binary, answered = forms[at % len(forms)]
        outputs = None if answered is None else [triton.InferRequestedOutput("embedding", binary_data=answered)]
        # Headers of its own: the client notes in them how long the JSON is, and a call without binary inputs would send the last one's.
        own = dict(headers)
        answer = client.infer("minilm", tensors([item["input_ids"]], binary), outputs=outputs, request_id=f"call-{at}", headers=own)
        assert answer.get_response()["id"] == f"call-{at}"
        assert np.abs(answer.as_numpy("embedding") - wanted[at]).max() < 1e-4, (item["text"], binary, answered)
    mixed = [items[at % len(items)]["input_ids"] for at in range(32)]
    answer = client.infer("minilm", tensors(mixed, True), model_version="1", headers=headers)
    assert np.abs(answer.as_numpy("embedding") - wanted[[at % len(items) for at in range(32)]]).max() < 1e-4
    for statistics in (client.get_inference_statistics("minilm", headers=headers), client.get_inference_statistics(headers=headers)):
        assert statistics["model_stats"][0]["inference_stats"]["success"]["count"] >= len(items), statistics


def the_highest_numbers_are_found(client, headers) -> None:
    asked = triton.InferRequestedOutput("embedding", class_count=3)
    answer = client.infer("minilm", tensors([[101, 102], [101, 2023, 102]], True), outputs=[asked], headers=headers)
    highest = answer.as_numpy("embedding")
    assert highest.shape == (2, 3), highest
    whole = client.infer("minilm", tensors([[101, 102], [101, 2023, 102]], True), headers=headers).as_numpy("embedding")
    assert [int(text.decode().split(":")[1]) for text in highest[1]] == list(np.argsort(-whole[1])[:3]), highest


def two_calls_at_once(client, headers) -> None:
    rows = [[101, 2023, 102], [101, 2023, 2003, 102]]
    waiting = [client.async_infer("minilm", tensors([row], True), request_id=str(len(row)), headers=headers) for row in rows]
    assert [answer.get_result().get_response()["id"] for answer in waiting] == ["3", "4"]


def mistakes_are_told_apart(client, headers) -> None:
    def refused(call, status: str, part: str) -> None:
        try:
            call()
        except InferenceServerException as error:
            assert error.status() == status, error
            assert part in error.message(), error
            return
        raise AssertionError(f"{status} was expected")

    good = tensors([[101, 102]], True)
    refused(lambda: client.infer("minilm", good), "401", "Bearer")
    refused(lambda: client.infer("nope", good, headers=headers), "404", "nope")
    refused(lambda: client.infer("minilm", good, model_version="7", headers=headers), "404", "version 7")
    refused(lambda: client.infer("minilm", good[:1], headers=headers), "400", "attention_mask")
    refused(lambda: client.get_model_metadata("nope", headers=headers), "404", "nope")
    shared = triton.InferInput("input_ids", [1, 2], "INT64")
    shared.set_shared_memory("region", 16)
    refused(lambda: client.infer("minilm", [shared, good[1]], headers=headers), "400", "shared memory")


def main() -> None:
    headers = {"authorization": f"Bearer {os.environ['KEY']}"}
    client = triton.InferenceServerClient(os.environ["GATEWAY"], concurrency=2)
    the_server_and_the_model_describe_themselves(client, headers)
    the_embeddings_are_the_references(client, headers)
    the_highest_numbers_are_found(client, headers)
    two_calls_at_once(client, headers)
    mistakes_are_told_apart(client, headers)
    print("tritonclient.http is content")


if __name__ == "__main__":
    main()
