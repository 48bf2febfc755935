"""MiniLM in TorchServe: a text in the field `data`, the vector's floats as bytes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from encoder import Encoder


class Handler:
    """What TorchServe calls with the requests of a batch."""

    def initialize(self, context: Any) -> None:
        """Loads the model of the archive."""
        folder = Path(context.system_properties["model_dir"])
        self.encoder = Encoder(folder / "model.pt", folder / "tokenizer.json")

    def handle(self, requests: List[Dict[str, bytes]], _context: Any) -> List[bytes]:
        """One answer for each request."""
        return [vector.tobytes() for vector in self.encoder.embed([bytes(request["data"]).decode() for request in requests])]
