"""What comes of prompts that are sent at the same moment: when every token came, and what follows from that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import List, Sequence


@dataclass
class Answer:
    """What one user got. Times are in seconds on one clock that never goes back."""

    sent: float
    # When each piece came; nearly always one token each.
    pieces: List[float] = field(default_factory=list)
    tokens: int = 0
    text: str = ""

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.pieces[0] - self.sent

    @property
    def gaps(self) -> List[float]:
        """Seconds from each piece to the next."""
        return [later - earlier for earlier, later in zip(self.pieces, self.pieces[1:])]


# The answers to prompts that were sent together.
Wave = Sequence[Answer]


@dataclass(frozen=True)
class Written:
    """The figures of some waves, taken together."""

    # All tokens over all the time, from the first prompt sent to the last token.
    tokens_per_second: float
    # Only while every user was being written to: the reading of the prompts is left out.
    writing_per_second: float
    first_p50_ms: float
    gap_p50_ms: float
    gap_p99_ms: float


def written(waves: Sequence[Wave]) -> Written:
    """What the waves come to; each has an answer, and each answer two pieces."""
    seconds = sum(max(answer.pieces[-1] for answer in wave) - min(answer.sent for answer in wave) for wave in waves)
    tokens = sum(answer.tokens for wave in waves for answer in wave)
    gaps = [gap for wave in waves for answer in wave for gap in answer.gaps]
    return Written(
        tokens_per_second=tokens / seconds,
        writing_per_second=_writing(waves),
        first_p50_ms=1e3 * quantile([answer.first for wave in waves for answer in wave], 0.5),
        gap_p50_ms=1e3 * quantile(gaps, 0.5),
        gap_p99_ms=1e3 * quantile(gaps, 0.99),
    )


def _writing(waves: Sequence[Wave]) -> float:
    tokens = seconds = 0.0
    for wave in waves:
        begin, end = max(answer.pieces[0] for answer in wave), min(answer.pieces[-1] for answer in wave)
        if end > begin:
            seconds += end - begin
            tokens += sum(_within(answer, begin, end) for answer in wave)
    return tokens / seconds if seconds else 0.0


def _within(answer: Answer, begin: float, end: float) -> float:
    """Tokens that came after `begin` and until `end`; a piece is as many as an answer's pieces are on average."""
    return sum(begin < piece <= end for piece in answer.pieces) * answer.tokens / len(answer.pieces)


def quantile(values: Sequence[float], share: float) -> float:
    """The least of the values that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True)
class Stall:
    """How others fared while a long prompt was read."""

    # From sending the long prompt to its first token.
    reading_ms: float
    # The longest that one of the others waited for a token meanwhile, and the middle one of all such gaps.
    largest_gap_ms: float
    median_gap_ms: float
    # The time of one of the chunks that the prompt is read in: the reading over their number, or the middle gap where that is less. Both, since
    # others who wait for the whole prompt have one gap only, and it is its own median.
    chunk_ms: float

    @property
    def chunks(self) -> float:
        """The largest gap as a multiple of a chunk's time."""
        return self.largest_gap_ms / self.chunk_ms


def stall(long: Answer, others: Wave, chunks: int) -> Stall:
    """What a long prompt, read in so many chunks, did to the others' answers."""
    begin, end = long.sent, long.pieces[0]
    touched = [
        later - earlier for answer in others for earlier, later in zip(answer.pieces, answer.pieces[1:]) if later > begin and earlier < end
    ]
    if not touched:
        raise ValueError("nobody was being written to while the long prompt was read")
    middle = quantile(touched, 0.5)
    chunk = min(middle, (end - begin) / chunks)
    return Stall(1e3 * (end - begin), 1e3 * max(touched), 1e3 * middle, 1e3 * chunk)
