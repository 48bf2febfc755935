"""tritonclient, as it is, against a gateway: what the server and a model are, and what the model answers.

Environment: GATEWAY (IP:PORT), KEY, GOLDEN (tests/golden/minilm.json), DESCRIPTORS (our protos as an encoded FileDescriptorSet).
"""

import json
import os
import queue

import numpy as np
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

# Fields that ours have and Triton's have not: KServe's addition, and what routers tell loads of a model apart by.
EXTRA = {("ModelMetadataResponse", "properties"), ("ModelMetadataResponse", "PropertiesEntry"), ("RepositoryIndexResponse.ModelIndex", "load")}


def lines_of(file: descriptor_pb2.FileDescriptorProto) -> dict:
    """Every message, field, enum value and method of a proto, as one comparable line each."""
    lines = {}

    def message(path: str, described) -> None:
        for field in described.field:
            lines[(path, field.name)] = (field.number, field.type, field.label, field.type_name, field.proto3_optional)
        for one_of in described.oneof_decl:
            lines[(path, f"oneof {one_of.name}")] = ()
        for inner in described.nested_type:
            lines[(path, inner.name)] = ()
            message(f"{path}.{inner.name}", inner)
        for inner in described.enum_type:
            enum(f"{path}.{inner.name}", inner)

    def enum(path: str, described) -> None:
        for value in described.value:
            lines[(path, value.name)] = (value.number,)

    for described in file.message_type:
        lines[("", described.name)] = ()
        message(described.name, described)
    for described in file.enum_type:
        enum(described.name, described)
    for service in file.service:
        for method in service.method:
            shape = (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
            lines[(service.name, method.name)] = shape
    return lines


def the_protos_are_the_published_ones() -> None:
    ours = descriptor_pb2.FileDescriptorSet()
    with open(os.environ["DESCRIPTORS"], "rb") as file:
        ours.ParseFromString(file.read())
    own, published = {}, {}
    for file in ours.file:
        if file.package == "inference":
            own.update(lines_of(file))
    for module in (service_pb2, model_config_pb2):
        described = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(described)
        published.update(lines_of(described))
    own = {key: line for key, line in own.items() if key not in EXTRA and not key[0].startswith("ModelMetadataResponse.PropertiesEntry")}
    assert len(published) > 300, len(published)
    assert own == published, sorted(set(own.items()) ^ set(published.items()), key=str)[:20]


def tensors(rows: list) -> list:
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
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def the_server_and_the_model_describe_themselves(client, headers) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata(headers=headers).name == "torchmesh"
    assert client.is_model_ready("minilm", headers=headers)
    metadata = client.get_model_metadata("minilm", headers=headers)
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("input_ids", "INT64", [-1, -1]),
        ("attention_mask", "INT64", [-1, -1]),
    ], metadata
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.outputs] == [("embedding", "FP32", [-1, 384])], metadata
    config = client.get_model_config("minilm", headers=headers).config
    assert config.name == "minilm" and config.max_batch_size >= 1, config
    assert [list(t.dims) for t in config.input] == [[-1], [-1]] and list(config.output[0].dims) == [384], config
    assert any(m.name == "minilm" and m.state == "READY" for m in client.get_model_repository_index(headers=headers).models)


def the_embeddings_are_the_references(client, headers) -> None:
    with open(os.environ["GOLDEN"]) as file:
        items = json.load(file)["items"]
    wanted = np.array([item["embedding"] for item in items])
    for at, item in enumerate(items):
        answer = client.infer("minilm", tensors([item["input_ids"]]), request_id=f"call-{at}", headers=headers)
        assert answer.get_response().id == f"call-{at}"
        got = answer.as_numpy("embedding")
        assert np.abs(got - wanted[at]).max() < 1e-4, item["text"]
    mixed = [items[at % len(items)]["input_ids"] for at in range(32)]
    got = client.infer("minilm", tensors(mixed), headers=headers).as_numpy("embedding")
    assert np.abs(got - wanted[[at % len(items) for at in range(32)]]).max() < 1e-4
    statistics = client.get_inference_statistics("minilm", headers=headers).model_stats[0]
    assert statistics.inference_stats.success.count >= len(items), statistics


def a_stream_answers_each_request_in_order(client, headers) -> None:
    answers: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    rows = [[101, 2023, 102], [101, 2023, 2003, 102], [101, 102]]
    for at, row in enumerate(rows):
        client.async_stream_infer("minilm", tensors([row]), request_id=str(at))
    for at in range(len(rows)):
        result, error = answers.get(timeout=30)
        assert error is None, error
        assert result.get_response().id == str(at)
        assert result.as_numpy("embedding").shape == (1, 384)
    client.stop_stream()


def mistakes_are_told_apart(client, headers) -> None:
    def refused(call, code: str, part: str) -> None:
        try:
            call()
        except InferenceServerException as error:
            assert error.status() == f"StatusCode.{code}", error
            assert part in error.message(), error
            return
        raise AssertionError(f"{code} was expected")

    good = tensors([[101, 102]])
    refused(lambda: client.infer("minilm", good), "UNAUTHENTICATED", "Bearer")
    refused(lambda: client.infer("minilm", good, headers={"authorization": "Bearer wrong"}), "UNAUTHENTICATED", "not valid")
    refused(lambda: client.infer("nope", good, headers=headers), "NOT_FOUND", "nope")
    refused(lambda: client.infer("minilm", good, model_version="7", headers=headers), "NOT_FOUND", "version 7")
    refused(lambda: client.infer("minilm", good[:1], headers=headers), "INVALID_ARGUMENT", "attention_mask")
    wrong = triton.InferInput("input_ids", [1, 2], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 2), dtype=np.float32))
    refused(lambda: client.infer("minilm", [wrong, good[1]], headers=headers), "INVALID_ARGUMENT", "input_ids")


def main() -> None:
    the_protos_are_the_published_ones()
    headers = {"authorization": f"Bearer {os.environ['KEY']}"}
    client = triton.InferenceServerClient(os.environ["GATEWAY"])
    the_server_and_the_model_describe_themselves(client, headers)
    the_embeddings_are_the_references(client, headers)
    a_stream_answers_each_request_in_order(client, headers)
    mistakes_are_told_apart(client, headers)
    print("tritonclient is content")


if __name__ == "__main__":
    main()
