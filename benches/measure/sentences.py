"""Texts of exactly so many tokens."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Dict, List, Tuple

# How many texts of a length there are; calls take them in turn.
TEXTS = 32
# [CLS] and [SEP], which BERT's tokenizer puts around a text.
_SPECIAL = 2
# The lengths that the texts of a column have, one after the other, over and over.
LENGTHS: Dict[str, Tuple[int, ...]] = {
    "16": (16,),
    "32": (32,),
    "128": (128,),
    "mixed": (32, 112, 16, 96, 64, 128, 48, 80),
}


def vocabulary(tokenizer: Path) -> List[str]:
    """The words of a WordPiece tokenizer that are one token each whatever stands around them: whole words of plain letters."""
    words = json.loads(tokenizer.read_text())["model"]["vocab"]
    return sorted(word for word in words if len(word) >= 3 and word.isascii() and word.isalpha() and word.islower())


def texts(words: List[str], lengths: Tuple[int, ...]) -> List[str]:
    """The same texts every time: words at random, a text for each length in turn."""
    choice = random.Random(" ".join(map(str, lengths)))
    return [" ".join(choice.choices(words, k=lengths[number % len(lengths)] - _SPECIAL)) for number in range(TEXTS)]
