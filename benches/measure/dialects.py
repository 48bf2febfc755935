"""How the servers of an embedding model are asked for the vector of one text over gRPC, and where it is in their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List

from .wire import field, fields, first, floats

MODEL = "minilm"


@dataclass(frozen=True)
class Dialect:
    """One way to ask."""

    name: str
    path: str
    # The encoded message for a text, and the vector of an encoded answer.
    ask: Callable[[str], bytes]
    vector: Callable[[bytes], List[float]]


def _oip_ask(text: str) -> bytes:
    """A BYTES tensor of one element, as raw contents."""
    data = text.encode()
    shape = field(3, b"\x01\x01")
    tensor = field(1, "text") + field(2, "BYTES") + shape
    return field(1, MODEL) + field(5, tensor) + field(7, len(data).to_bytes(4, "little") + data)


def _oip_vector(answer: bytes) -> List[float]:
    """As raw contents, or as the `fp32_contents` of the first output."""
    return floats(first(answer, 6) or first(answer, 5, 5, 6))


TORCHMESH = Dialect(
    "torchmesh.text.v1",
    "/torchmesh.text.v1.TextService/Embed",
    lambda text: field(1, MODEL) + field(4, text),
    lambda answer: floats(first(answer, 4, 1)),
)
TEI = Dialect("tei.v1", "/tei.v1.Embed/Embed", lambda text: field(1, text), lambda answer: floats(first(answer, 1)))
TORCHSERVE = Dialect(
    "torchserve",
    "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
    lambda text: field(1, MODEL) + field(3, field(1, "data") + field(2, text)),
    lambda answer: floats(first(answer, 1)),
)
OPEN_INFERENCE = Dialect("open-inference", "/inference.GRPCInferenceService/ModelInfer", _oip_ask, _oip_vector)
ALL = (TORCHMESH, TEI, TORCHSERVE, OPEN_INFERENCE)


def tokens_read(answer: bytes) -> int:
    """How many tokens our worker says that it has read of the one text."""
    return next((value for number, value in fields(first(answer, 4)) if number == 2 and isinstance(value, int)), 0)
