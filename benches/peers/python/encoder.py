"""What TorchServe, MLServer and Triton's Python backend run: the same TorchScript file that the worker serves, with the same steps around it."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

import numpy
import torch
from tokenizers import Tokenizer

MAX_TOKENS = 256


class Encoder:
    """Sentences in, vectors of length 1 out; one thread, as every server in the table."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        torch.set_num_threads(1)
        # As the worker does: otherwise the first calls of every new shape are spent on compiling for it.
        torch._C._set_graph_executor_optimize(False)
        self._model = torch.jit.load(str(model)).eval()
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        """One vector for each text; all of them go through the model as one batch."""
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in encoded])
        mask = torch.tensor([each.attention_mask for each in encoded])
        weights = mask.unsqueeze(-1).float()
        pooled = (self._model(ids, mask) * weights).sum(1) / weights.sum(1)
        return list(torch.nn.functional.normalize(pooled).numpy())
