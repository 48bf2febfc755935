"""The gRPC API of torchmesh from Python: a vector, a conversation as it is written, tensors, and an error."""

import os
import struct
import sys

import grpc
from torchmesh.inference import grpc_service_pb2 as oip
from torchmesh.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from torchmesh.text.v1 import generation_pb2 as generation
from torchmesh.text.v1 import text_pb2 as text
from torchmesh.text.v1.generation_pb2_grpc import GenerationServiceStub
from torchmesh.text.v1.text_pb2_grpc import TextServiceStub

# What to do about an error goes by its status code.
REMEDIES = {
    grpc.StatusCode.INVALID_ARGUMENT: "the message names the field and what to send",
    grpc.StatusCode.UNAUTHENTICATED: "check the API key",
    grpc.StatusCode.PERMISSION_DENIED: "ask for a key that may do this",
    grpc.StatusCode.NOT_FOUND: "check the name of the model and its version",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "wait as long as the trailer grpc-retry-pushback-ms says, then call again",
    grpc.StatusCode.DEADLINE_EXCEEDED: "give it more time, or send less at once",
    grpc.StatusCode.UNAVAILABLE: "call again in a moment",
}


def connect() -> grpc.Channel:
    """TLS for https://, plain text for http://."""
    scheme, _, address = os.environ.get("TORCHMESH_URL", "http://127.0.0.1:8080").partition("://")
    if scheme == "http":
        return grpc.insecure_channel(address)
    trusted = None  # the authorities that gRPC comes with
    if "TORCHMESH_CA" in os.environ:
        with open(os.environ["TORCHMESH_CA"], "rb") as file:
            trusted = file.read()
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted))


def embed(channel: grpc.Channel, key: list) -> None:
    """A text becomes a vector. The deadline, here 10 seconds, goes with the call through the whole mesh."""
    request = text.EmbedRequest(model="minilm", texts=["A man is eating food."])
    embedding = TextServiceStub(channel).Embed(request, metadata=key, timeout=10).embeddings[0]
    print(f"embedding: {len(embedding.values)} numbers, the first is {embedding.values[0]:.4f}")


def chat(channel: grpc.Channel, key: list) -> None:
    """A language model answers piece by piece. `pieces.cancel()` stops the model."""
    question = generation.ChatMessage(role="user", content="What is the capital of France?")
    settings = generation.GenerationSettings(temperature=0, max_tokens=32)
    request = generation.ChatRequest(model="smollm2", messages=[question], settings=settings)
    pieces = GenerationServiceStub(channel).Chat(request, metadata=key, timeout=60)
    print("answer: ", end="")
    for piece in pieces:
        print(piece.content, end="", flush=True)
        if piece.HasField("usage"):
            print(f"\ntokens: {piece.usage.completion_tokens}")


def infer(channel: grpc.Channel, key: list) -> None:
    """Tensors in, tensors out: the Open Inference Protocol."""
    tokens = [101, 7592, 2088, 102]
    request = oip.ModelInferRequest(model_name="minilm")
    for name, values in ("input_ids", tokens), ("attention_mask", [1] * len(tokens)):
        contents = oip.InferTensorContents(int64_contents=values)
        request.inputs.add(name=name, datatype="INT64", shape=[1, len(values)], contents=contents)
    answer = GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=key, timeout=10)
    numbers = struct.unpack("<384f", answer.raw_output_contents[0])
    print(f"tensor: {answer.outputs[0].name} {list(answer.outputs[0].shape)}, the first is {numbers[0]:.4f}")


def explain(error: grpc.RpcError) -> str:
    """An error is a status code and a message."""
    return f"error: {error.code().name}: {error.details()}; {REMEDIES.get(error.code(), 'this should not happen')}"


def refused(channel: grpc.Channel, key: list) -> None:
    """Asks for a model that is not there."""
    try:
        request = oip.ModelMetadataRequest(name="nobody")
        GRPCInferenceServiceStub(channel).ModelMetadata(request, metadata=key, timeout=10)
    except grpc.RpcError as error:
        print(explain(error))


def main() -> None:
    key = [("authorization", "Bearer " + os.environ["TORCHMESH_KEY"])]
    with connect() as channel:
        for step in embed, chat, infer, refused:
            step(channel, key)


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as failure:
        sys.exit(explain(failure))
