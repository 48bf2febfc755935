"""Holds every server's vectors against those of the same model as PyTorch runs it: who answers something else is not measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

from . import dialects, load, sentences
from .encoders import Served
from .process import StartError
from .system import Absent

# How far a number of a vector of length 1 may be off in single precision; and how near to 1 the cosine must be where the weights are bf16.
WITHIN, COSINE = 1e-4, 0.999

Row = Union[Served, Absent]
# The files with the texts of a column, encoded for a dialect.
Bodies = Dict[Tuple[dialects.Dialect, str], List[Path]]


def checked(rows: Iterable[Row], bodies: Bodies, folder: Path) -> List[Row]:
    """The rows, those of peers that do not run or disagree replaced by the reason; one of ours that does ends the measurement."""
    expected: Dict[str, List[float]] = {}
    checked_rows: List[Row] = []
    for row in rows:
        reason = None if isinstance(row, Absent) else _wrong(row, bodies, expected, folder)
        if reason and not row.system.is_peer:
            raise StartError(f"{row.name} {reason}")
        checked_rows.append(Absent(row.name, reason) if reason else row)
    return checked_rows


def _wrong(served: Served, bodies: Bodies, expected: Dict[str, List[float]], folder: Path) -> Optional[str]:
    """Why a server is not measured. The first row, our TorchScript, is what the others are held against."""
    columns = {column: files for (dialect, column), files in bodies.items() if dialect is served.dialect}
    try:
        load.wait_until_it_answers(served.asked(next(iter(columns.values()))))
    except StartError as error:
        return f"does not run here: {error}"
    for column, files in columns.items():
        answer = load.answer(served.asked(files[:1]), folder / "answer")
        vector = served.dialect.vector(answer)
        reason = _difference(served, vector, expected.setdefault(column, vector)) or _miscounted(served, answer, column)
        if reason:
            return f"{reason} (a text of the column {column})"
    return None


def _miscounted(served: Served, answer: bytes, column: str) -> Optional[str]:
    if served.dialect is not dialects.TORCHMESH:
        return None
    read, meant = dialects.tokens_read(answer), sentences.LENGTHS[column][0]
    return None if read == meant else f"reads {read} tokens where {meant} are meant"


def _difference(served: Served, vector: Sequence[float], expected: Sequence[float]) -> Optional[str]:
    if len(vector) != len(expected):
        return f"answers with {len(vector)} numbers, not {len(expected)}"
    if served.engine and served.engine.dtype == "bf16":
        cosine = similarity(vector, expected)
        return None if cosine >= COSINE else f"answers otherwise: the cosine is {cosine:.5f}"
    off = [abs(one - other) for one, other in zip(vector, expected)]
    # Asked of each: a NaN is not within anything, but need not be the maximum.
    return None if all(each <= WITHIN for each in off) else f"answers otherwise: a number is off by {max(off):.1e}"


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine between two vectors."""
    product = sum(a * b for a, b in zip(one, other))
    return product / (math.hypot(*one) * math.hypot(*other))
