"""Asks the peer that writes a whole batch at once, peers/python/transformers_generate.py."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Dict, List, Sequence

from .load import LoadError
from .waves import Answer


@dataclass(frozen=True)
class Door:
    """Where a batch is asked for."""

    address: str

    def wave(self, prompts: Sequence[Sequence[int]], new: int) -> List[Answer]:
        """All prompts as one batch."""
        with closing(HTTPConnection(self.address, timeout=600)) as connection:
            connection.request("POST", "/", json.dumps({"prompts": [list(prompt) for prompt in prompts], "new": new}))
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise LoadError(f"the batch at {self.address} failed with {response.status}: {body[:300]!r}")
        return read(json.loads(body))


def read(told: Dict[str, Any]) -> List[Answer]:
    """The answers; the peer says when each step was over, in seconds from the arrival of the batch."""
    return [Answer(0.0, list(told["steps"]), len(told["steps"]), text) for text in told["texts"]]
