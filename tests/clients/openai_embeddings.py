"""The openai package, as it is, against a gateway.

Environment: GATEWAY (IP:PORT), KEY, GOLDEN (tests/golden/minilm.json).
"""

import json
import math
import os

import openai


def nearest(got: list, wanted: list) -> float:
    return max(abs(a - b) for a, b in zip(got, wanted, strict=True))


def main() -> None:
    with open(os.environ["GOLDEN"]) as file:
        golden = json.load(file)
    # OpenAI's API takes no empty text, and neither does this door.
    items = [item for item in golden["items"] if item["text"]]
    base = f"http://{os.environ['GATEWAY']}/v1"
    client = openai.OpenAI(base_url=base, api_key=os.environ["KEY"], max_retries=0)

    assert "minilm" in [model.id for model in client.models.list()]
    assert client.models.retrieve("minilm").id == "minilm"

    # The package asks for base64 unless told otherwise; both must hold the same floats.
    texts = [item["text"] for item in items]
    answers = [client.embeddings.create(model="minilm", input=texts), client.embeddings.create(model="minilm", input=texts, encoding_format="float")]
    for answer in answers:
        assert [item.index for item in answer.data] == list(range(len(items)))
        for item, wanted in zip(answer.data, items, strict=True):
            assert nearest(item.embedding, wanted["embedding"]) < 1e-4, wanted["text"]
        assert answer.usage.total_tokens == sum(len(item["input_ids"]) for item in items), answer.usage
    first, second = (item.embedding for item in answers[0].data[:2])
    cosine = sum(a * b for a, b in zip(first, second, strict=True)) / math.hypot(*first) / math.hypot(*second)
    assert abs(cosine - 0.7553) < 1e-4, cosine

    tokens = client.embeddings.create(model="minilm", input=items[0]["input_ids"])
    assert nearest(tokens.data[0].embedding, items[0]["embedding"]) < 1e-4

    try:
        client.embeddings.create(model="nope", input="x")
        raise AssertionError("an unknown model was embedded")
    except openai.NotFoundError as error:
        assert error.body["code"] == "not_found" and "nope" in error.body["message"], error.body
    try:
        openai.OpenAI(base_url=base, api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key was let in")
    except openai.AuthenticationError as error:
        assert error.body["code"] == "invalid_api_key", error.body
    print("openai is content")


if __name__ == "__main__":
    main()
