"""One question to a model and its answers, word for word, in OpenAI's form of HTTP and as the mesh says it in gRPC: nothing has to be computed for them."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any, Dict, List

from .process import LoadError
from .system import System
from .tls import framed
from .wire import field

MODEL = "noop"
PATH = "/v1/chat/completions"
# A stream: so many tokens, one each so many seconds.
CHUNKS, EVERY_SECONDS = 200, 0.01
# Tokens of an answer that comes whole.
WHOLE = 16
WORD = " word"
_PROMPT_TOKENS = 180
_STOP = 1


def question(*, stream: bool) -> bytes:
    """The body of a request, about a kilobyte."""
    asked = {"role": "user", "content": "Which word comes next? " + WORD.strip() + WORD * (_PROMPT_TOKENS - 6)}
    return json.dumps({"model": MODEL, "messages": [asked], "max_tokens": CHUNKS if stream else WHOLE, "stream": stream}).encode()


def whole() -> bytes:
    """An answer that comes whole, by HTTP."""
    message = {"role": "assistant", "content": WORD * WHOLE, "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": _PROMPT_TOKENS, "completion_tokens": WHOLE, "total_tokens": _PROMPT_TOKENS + WHOLE}
    return json.dumps({**_about("chat.completion"), "choices": [choice], "usage": usage}).encode()


def whole_framed() -> bytes:
    """The same as the messages of `torchmesh.text.v1.GenerationService/Chat`: one that tells everything, and what was used."""
    return framed(_piece(WHOLE) + field(8, _STOP)) + framed(_usage(WHOLE))


def paced() -> Dict[str, bytes]:
    """The files that peers/paced_upstream.py sends."""
    return {
        "http-chunk": _event({"content": WORD}),
        "http-end": _event({}, "stop") + b"data: [DONE]\n\n",
        "http-other": json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}], "status": "ok"}).encode(),
        "grpc-chunk": framed(_piece(1)),
        "grpc-end": framed(_header() + field(8, _STOP)) + framed(_usage(CHUNKS)),
    }


def _about(kind: str) -> Dict[str, Any]:
    return {"id": "chatcmpl-0123456789abcdef0123456789abcdef", "object": kind, "created": 1_700_000_000, "model": MODEL}


def _event(delta: Dict[str, str], reason: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return b"data: " + json.dumps({**_about("chat.completion.chunk"), "choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


# The fields of `ChatResponse`, `WrittenToken` and `Usage` in proto/torchmesh/text/v1/generation.proto.
def _header() -> bytes:
    return field(1, MODEL) + field(2, "1")


def _piece(tokens: int) -> bytes:
    return _header() + field(5, WORD * tokens) + field(7, field(1, 1734) + field(2, WORD)) * tokens


def _usage(tokens: int) -> bytes:
    return _header() + field(9, field(1, _PROMPT_TOKENS) + field(3, tokens))


def look(system: System) -> int:
    """Asks a system once and looks at the answer; answers how long it is. Raises when it is not what the upstream wrote."""
    ask = system.ask
    assert ask, "it is asked by HTTP"
    connection = HTTPConnection(system.address, timeout=60)
    try:
        connection.request("POST", ask.path, ask.body.read_bytes(), dict(header.split(": ", 1) for header in ask.headers))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    wanted = WORD * (CHUNKS if ask.seconds else WHOLE)
    said = told(body, stream=bool(ask.seconds)) if response.status == 200 else None
    if said != wanted:
        raise LoadError(f"{system.name} answers {response.status} and something else than its upstream: {body[:300]!r}")
    return len(body)


def told(body: bytes, *, stream: bool) -> str:
    """The text of an answer; empty when it is none, or does not end."""
    try:
        if not stream:
            return str(json.loads(body)["choices"][0]["message"]["content"])
        events: List[bytes] = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
        if events[-1] != b"[DONE]":
            return ""
        deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    except (ValueError, LookupError, TypeError):
        return ""
