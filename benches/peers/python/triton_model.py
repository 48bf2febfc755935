"""MiniLM in Triton's Python backend: a BYTES input `text`, an FP32 output `embedding`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import numpy
import triton_python_backend_utils as triton
from encoder import Encoder


class TritonPythonModel:
    """What the backend calls with the requests of a batch."""

    def initialize(self, _args: Dict[str, str]) -> None:
        """Loads the model of the folder that the measurement names."""
        folder = Path(os.environ["MINILM_FOLDER"])
        self.encoder = Encoder(folder / "model.pt", folder / "tokenizer.json")

    def execute(self, requests: List[Any]) -> List[Any]:
        """One answer for each request, each of one row."""
        texts = [triton.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)[0].decode() for request in requests]
        vectors = self.encoder.embed(texts)
        return [triton.InferenceResponse([triton.Tensor("embedding", vector.reshape(1, -1).astype(numpy.float32))]) for vector in vectors]
