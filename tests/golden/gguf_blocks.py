#!/usr/bin/env python3
"""Makes gguf_blocks.json: what blocks of random bytes mean in each form in which GGUF files keep elements.

The tests read the committed file; this script is for whoever wants to make it again. It needs the package gguf in an environment of its own:

    python3 -m venv ~/.cache/torchmesh/golden-venv
    ~/.cache/torchmesh/golden-venv/bin/pip install gguf==0.19.0
    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/gguf_blocks.py

Two blocks of each form. The bytes are random, but for the scales in half precision: those are such that no element is out of proportion.
"""

import argparse
import json
import pathlib

import gguf
import numpy

HERE = pathlib.Path(__file__).resolve().parent
# Where in a block its numbers in half precision begin.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}


def case(name, random):
    """Two blocks and their elements."""
    kind = gguf.GGMLQuantizationType[name]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (2, size), dtype=numpy.uint8)
    for at in SCALES[name]:
        blocks[:, at : at + 2] = random.uniform(-0.05, 0.05, 2).astype(numpy.float16).view(numpy.uint8).reshape(2, 2)
    elements = gguf.quants.dequantize(blocks, kind).flatten().tolist()
    return {"name": name, "kind": int(kind), "blocks": blocks.tobytes().hex(), "elements": [float(f"{element:.8g}") for element in elements]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "gguf_blocks.json", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    random = numpy.random.default_rng(20261122)
    lines = ",\n".join(json.dumps(case(name, random), separators=(",", ":")) for name in SCALES)
    arguments.out.write_text(f'{{"cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
