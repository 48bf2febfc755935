"""The certificate that every row with TLS shows its callers, and what those ask for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from . import h2load, load, wire
from .process import StartError
from .system import Ask, System

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_GRPC = ("content-type: application/grpc", "te: trailers")
# The flag and the length that gRPC has in front of a message.
FRAME_HEADER = 5


@dataclass(frozen=True)
class Certificate:
    """PEM files of an ECDSA key on P-256 and of a certificate that it has signed itself; nobody here checks who signed."""

    cert: Path
    key: Path
    # Both in one file.
    both: Path


@dataclass(frozen=True)
class Front:
    """What a proxy needs for a row with TLS: a certificate, and what h2load sends it."""

    certificate: Certificate
    ask: Ask


def missing() -> Optional[str]:
    """Why no row can have TLS here; None when rows can."""
    return h2load.missing() or (None if shutil.which("openssl") else "openssl, which makes its certificate, is not installed: `apt-get install openssl`")


def front(folder: Path, upstream: System) -> Front:
    """A new certificate, and the calls that our own loader makes as h2load makes them. The upstream is asked how long an answer is."""
    body = folder / "tls-request"
    body.write_bytes(framed(infer_request("noop")))
    answer = load.answer(upstream, folder / "tls-answer")
    return Front(_certificate(folder), Ask(_INFER, body, _GRPC, tls=True, answer_bytes=FRAME_HEADER + len(answer)))


def with_key(ask: Ask, header_file: Path) -> Ask:
    """The same as somebody asks it whose headers are in a file."""
    return replace(ask, headers=[*ask.headers, *header_file.read_text().splitlines()])


def infer_request(model: str) -> bytes:
    """The message that the loader builds by itself: one input of 256 floats, all zero."""
    shape = bytes((1,)) + b"\x80\x02"
    tensor = wire.field(1, "INPUT0") + wire.field(2, "FP32") + wire.field(3, shape)
    return wire.field(1, model) + wire.field(5, tensor) + wire.field(7, bytes(4 * 256))


def framed(message: bytes) -> bytes:
    """A message in gRPC's frame, not compressed."""
    return b"\0" + len(message).to_bytes(FRAME_HEADER - 1, "big") + message


def _certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "tls.crt", folder / "tls.key", folder / "tls.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-sha256", "-days", "2", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *kind, *names, "-keyout", str(made.key), "-out", str(made.cert)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"openssl ended with {done.returncode}:\n{done.stderr}")
    made.both.touch(mode=0o600)
    made.both.write_text(made.cert.read_text() + made.key.read_text())
    return made
