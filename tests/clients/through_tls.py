"""openai, tritonclient and huggingface_hub, as they are, against a gateway that speaks TLS.

Environment: GATEWAY (localhost:PORT), KEY (a key or a token), SSL_CERT_FILE (the certificate to trust, PEM), GOLDEN (tests/golden/minilm.json).
"""

import json
import os

import numpy as np
import openai
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from huggingface_hub import InferenceClient

GATEWAY, KEY, TRUSTED = os.environ["GATEWAY"], os.environ["KEY"], os.environ["SSL_CERT_FILE"]
LET_IN = {"authorization": f"Bearer {KEY}"}


def item() -> dict:
    """A text whose tokens and vector are known."""
    with open(os.environ["GOLDEN"]) as file:
        return next(item for item in json.load(file)["items"] if item["text"])


def is_the_references(embedding, wanted: dict) -> None:
    assert np.abs(np.asarray(embedding).reshape(-1) - np.asarray(wanted["embedding"])).max() < 1e-4


def by_openai(wanted: dict) -> None:
    client = openai.OpenAI(base_url=f"https://{GATEWAY}/v1", api_key=KEY, max_retries=0)
    is_the_references(client.embeddings.create(model="minilm", input=wanted["text"]).data[0].embedding, wanted)


def by_triton(library, wanted: dict, **tls) -> None:
    client = library.InferenceServerClient(GATEWAY, ssl=True, **tls)
    ids = np.array([wanted["input_ids"]], dtype=np.int64)
    inputs = [library.InferInput(name, list(ids.shape), "INT64") for name in ("input_ids", "attention_mask")]
    inputs[0].set_data_from_numpy(ids)
    inputs[1].set_data_from_numpy(np.ones_like(ids))
    is_the_references(client.infer("minilm", inputs, headers=dict(LET_IN)).as_numpy("embedding"), wanted)


def by_huggingface(wanted: dict) -> None:
    client = InferenceClient(model=f"https://{GATEWAY}/embed", token=KEY)
    is_the_references(client.feature_extraction(wanted["text"]), wanted)


def main() -> None:
    wanted = item()
    by_openai(wanted)
    by_triton(triton, wanted, root_certificates=TRUSTED)
    by_triton(triton_http, wanted, ssl_options={"ca_certs": TRUSTED})
    by_huggingface(wanted)
    print("everybody is content")


if __name__ == "__main__":
    main()
