"""MiniLM in MLServer: a BYTES input `text` of as many elements as MLServer has put together, an FP32 output `embedding`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy
from encoder import Encoder
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    """What MLServer loads and asks."""

    async def load(self) -> bool:
        """Loads the model of the folder that the measurement names."""
        folder = Path(os.environ["MINILM_FOLDER"])
        self.encoder = Encoder(folder / "model.pt", folder / "tokenizer.json")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One row for each text."""
        vectors = numpy.stack(self.encoder.embed(StringCodec.decode_input(payload.inputs[0])))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("embedding", vectors)])
