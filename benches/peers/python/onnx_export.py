#!/usr/bin/env python3
"""Makes the folder that text-embeddings-inference serves with ONNX Runtime: the published model, with the exported one as ONNX beside it.

    ~/.cache/torchmesh/peers/python/bin/python benches/peers/python/onnx_export.py \\
        ~/.cache/torchmesh/models/all-MiniLM-L6-v2 .torchmesh/models/minilm/1/model.pt FOLDER
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=Path, help="the Hugging Face directory of the model")
    parser.add_argument("exported", type=Path, help="the same model as TorchScript")
    parser.add_argument("folder", type=Path, help="the folder to make")
    options = parser.parse_args()
    shutil.copytree(options.published, options.folder, ignore=shutil.ignore_patterns("*.safetensors", ".*"), dirs_exist_ok=True)
    (options.folder / "onnx").mkdir(exist_ok=True)
    _export(torch.jit.load(str(options.exported)).eval(), options.folder / "onnx" / "model.onnx")


def _export(model: torch.jit.ScriptModule, to: Path) -> None:
    inputs, output = ["input_ids", "attention_mask"], "last_hidden_state"
    example = torch.ones(2, 8, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in (*inputs, output)}
    # The exporter that takes TorchScript.
    torch.onnx.export(model, (example, example), str(to), input_names=inputs, output_names=[output], dynamic_axes=axes, opset_version=17, dynamo=False)


if __name__ == "__main__":
    main()
