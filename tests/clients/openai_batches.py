"""The openai package, as it is, making batches.

Environment: GATEWAY (HOST:PORT), KEY.
"""

import json
import os
import time

import openai

client = openai.OpenAI(base_url=f"http://{os.environ['GATEWAY']}/v1", api_key=os.environ["KEY"], max_retries=0, timeout=30)


def line(name: str, model: str, **more) -> str:
    body = {"model": model, "input": f"text {name}", **more}
    return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body})


def upload(lines) -> openai.types.FileObject:
    return client.files.create(file=("calls.jsonl", "\n".join(lines).encode()), purpose="batch")


def begin(file, **more):
    return client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", **more)


def end(batch):
    until = time.monotonic() + 60
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        assert time.monotonic() < until, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def refused(code: int, ask) -> str:
    try:
        ask()
    except openai.APIStatusError as error:
        assert error.status_code == code, error
        return error.message
    raise AssertionError("it was not refused")


def answers(id: str) -> dict:
    lines = [json.loads(text) for text in client.files.content(id).text.splitlines()]
    by_name = {line["custom_id"]: line for line in lines}
    assert len(by_name) == len(lines), "no line is answered twice"
    return by_name


# Good lines and lines that a call alone would be refused for.
names = [f"n{number}" for number in range(40)]
file = upload([line(name, "minilm") for name in names] + ["", line("absent", "no-such-model"), line("wrong", "minilm", dimensions=-1)])
assert (file.purpose, file.filename, file.object) == ("batch", "calls.jsonl", "file")
batch = begin(file, metadata={"for": "the test"})
assert batch.status == "validating" and batch.metadata == {"for": "the test"}, batch
done = end(batch)
assert done.status == "completed" and done.completed_at >= done.created_at, done
counts = done.request_counts
assert (counts.total, counts.completed, counts.failed) == (42, 40, 2), done
good, bad = answers(done.output_file_id), answers(done.error_file_id)
assert set(good) == set(names)
alone = client.embeddings.create(model="minilm", input="text n7").data[0].embedding
within = good["n7"]["response"]
assert within["status_code"] == 200 and within["request_id"] and good["n7"]["error"] is None
together = within["body"]["data"][0]["embedding"]
assert max(abs(a - b) for a, b in zip(alone, together)) < 1e-5
assert bad["absent"]["response"]["status_code"] == 404, bad
assert "dimensions" in bad["wrong"]["response"]["body"]["error"]["message"], bad

# A file that is wrong is told line by line, and nothing of it is called.
failed = end(begin(upload([line("a", "minilm"), "{", line("a", "minilm"), line("b", "minilm").replace("embeddings", "rerank")])))
assert failed.status == "failed" and failed.output_file_id is None, failed
assert [(error.line, error.code) for error in failed.errors.data] == [
    (2, "invalid_json_line"),
    (3, "duplicate_custom_id"),
    (4, "mismatched_endpoint"),
], failed.errors

# What cannot be begun.
assert "no file" in refused(404, lambda: client.batches.create(input_file_id="file-x", endpoint="/v1/embeddings", completion_window="24h"))
assert "endpoint" in refused(400, lambda: client.batches.create(input_file_id=file.id, endpoint="/v1/models", completion_window="24h"))
assert "24h" in refused(400, lambda: client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="1h"))
assert "purpose" in refused(400, lambda: client.files.create(file=b"x", purpose="fine-tune"))
assert "over already" in refused(400, lambda: client.batches.cancel(batch.id))

# Lists, a page at a time.
listed = [one.id for one in client.batches.list(limit=1)]
assert listed == [failed.id, batch.id] or set(listed) == {failed.id, batch.id}, listed
assert {one.purpose for one in client.files.list(purpose="batch_output")} == {"batch_output"}
assert len(list(client.files.list())) == 4

assert client.files.delete(file.id).deleted
assert "no file" in refused(404, lambda: client.files.retrieve(file.id))
assert client.batches.retrieve(batch.id).status == "completed"
print("openai's batches are content")
