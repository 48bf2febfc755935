"""Asks servers that speak OpenAI's form of HTTP for streams of tokens, several at once, and notes when each piece comes."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .load import LoadError
from .waves import Answer

# An answer that takes longer than this has failed.
_SECONDS = 600
_EVENT = b"data: "


@dataclass(frozen=True)
class Door:
    """Where a model is asked to go on with tokens."""

    address: str
    model: str
    headers: Dict[str, str] = field(default_factory=dict)

    def wave(self, prompts: Sequence[Sequence[int]], new: int) -> List[Answer]:
        """Sends all prompts at the same moment, each from a thread and a connection of its own, and waits for all answers."""
        streams = [Stream(self, prompt, new) for prompt in prompts]
        for stream in streams:
            stream.start()
        return [stream.answer() for stream in streams]


class Stream(threading.Thread):
    """One answer, as it comes."""

    def __init__(self, door: Door, prompt: Sequence[int], new: int) -> None:
        super().__init__(daemon=True)
        self._door = door
        self._body = json.dumps(asked(door.model, prompt, new))
        self._new = new
        self._sent = 0.0
        # What came, and when; read only once all is there, so that the reading of one answer does not delay the others.
        self._events: List[Tuple[float, bytes]] = []
        self._failure: Optional[str] = None

    @property
    def begun(self) -> int:
        """How many events have come so far."""
        return len(self._events)

    def run(self) -> None:
        """Sends the prompt and takes what comes."""
        try:
            self._take()
        except (OSError, HTTPException) as error:
            self._failure = f"{type(error).__name__}: {error}"

    def _take(self) -> None:
        with closing(HTTPConnection(self._door.address, timeout=_SECONDS)) as connection:
            headers = {"content-type": "application/json", "x-request-timeout": str(_SECONDS), **self._door.headers}
            self._sent = time.perf_counter()
            connection.request("POST", "/v1/completions", self._body, headers)
            response = connection.getresponse()
            if response.status != 200:
                self._failure = f"{response.status}: {response.read(300).decode(errors='replace')}"
                return
            rest = b""
            while data := response.read1(65536):
                now = time.perf_counter()
                *lines, rest = (rest + data).split(b"\n")
                self._events += [(now, line[len(_EVENT) :]) for line in lines if line.startswith(_EVENT)]

    def answer(self) -> Answer:
        """Waits for the end; raises when it failed or was not as long as was asked for."""
        self.join()
        told = None if self._failure else read(self._sent, self._events)
        if told is None or told.tokens != self._new or len(told.pieces) < min(2, self._new):
            reason = self._failure or f"{told.tokens if told else 0} tokens, not {self._new}: {self._events[-2:]}"
            raise LoadError(f"an answer of {self._door.model} at {self._door.address} failed: {reason}")
        return told


def asked(model: str, prompt: Sequence[int], new: int) -> Dict[str, Any]:
    """The body of a request for exactly so many tokens, each the likeliest one."""
    told = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": model, "prompt": list(prompt), "max_tokens": new, "temperature": 0, "ignore_eos": True, **told}


def read(sent: float, events: Sequence[Tuple[float, bytes]]) -> Optional[Answer]:
    """The answer that events tell of; None when they tell of an error or do not end as they should."""
    answer, done, pieces = Answer(sent), False, 0
    for when, event in events:
        if event.strip() == b"[DONE]":
            done = True
            continue
        message = json.loads(event)
        if "error" in message:
            return None
        for choice in message.get("choices", []):
            # The last one may only say why it is the last.
            if choice.get("text"):
                answer.pieces.append(when)
                answer.text += choice["text"]
                pieces += 1
        usage = message.get("usage") or {}
        answer.tokens = usage.get("completion_tokens", answer.tokens)
    answer.tokens = answer.tokens or pieces
    return answer if done else None
