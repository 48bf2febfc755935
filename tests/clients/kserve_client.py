"""kserve, as it is, against a gateway that speaks TLS. By itself: its messages and tritonclient's cannot be in one process.

Environment: GATEWAY (localhost:PORT), KEY (a key or a token), SSL_CERT_FILE (the certificate to trust, PEM), GOLDEN (tests/golden/minilm.json).
"""

import asyncio
import json
import os

import kserve
import numpy as np
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig

GATEWAY, KEY, TRUSTED = os.environ["GATEWAY"], os.environ["KEY"], os.environ["SSL_CERT_FILE"]
LET_IN = {"authorization": f"Bearer {KEY}"}


def item() -> dict:
    """A text whose tokens and vector are known."""
    with open(os.environ["GOLDEN"]) as file:
        return next(item for item in json.load(file)["items"] if item["text"])


def is_the_references(embedding, wanted: dict) -> None:
    assert np.abs(np.asarray(embedding).reshape(-1) - np.asarray(wanted["embedding"])).max() < 1e-4


def request(wanted: dict) -> kserve.InferRequest:
    ids = np.array([wanted["input_ids"]], dtype=np.int64)
    inputs = []
    for name, values in (("input_ids", ids), ("attention_mask", np.ones_like(ids))):
        tensor = kserve.InferInput(name, list(values.shape), "INT64")
        tensor.set_data_from_numpy(values, binary_data=False)
        inputs.append(tensor)
    return kserve.InferRequest(model_name="minilm", infer_inputs=inputs)


async def by_rest(wanted: dict) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    base = f"https://{GATEWAY}"
    assert await client.is_server_live(base, headers=LET_IN) and await client.is_model_ready(base, "minilm", headers=LET_IN)
    answer = await client.infer(base, request(wanted), model_name="minilm", headers=LET_IN)
    is_the_references(answer.outputs[0].as_numpy(), wanted)


async def by_grpc(wanted: dict) -> None:
    async with InferenceGRPCClient(GATEWAY, use_ssl=True, root_certificates=TRUSTED, retries=0) as client:
        let_in = list(LET_IN.items())
        assert await client.is_server_ready(headers=let_in) and await client.is_model_ready("minilm", headers=let_in)
        answer = await client.infer(request(wanted), headers=let_in)
        is_the_references(answer.outputs[0].as_numpy(), wanted)


async def main() -> None:
    wanted = item()
    await by_rest(wanted)
    await by_grpc(wanted)
    print("kserve is content")


if __name__ == "__main__":
    asyncio.run(main())
