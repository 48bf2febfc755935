"""Takes the samples: every system in turn, round after round, so that a machine whose speed drifts drifts for all."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from statistics import median
from typing import Dict, List, Optional, Sequence, Tuple, Union

from .load import measure
from .system import Absent, Sample, System

LOADER = "loader"


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    callers: Tuple[int, ...]
    connections: int
    rounds: int
    seconds: float


@dataclass
class Results:
    """The samples of a suite: by system and callers, one a round."""

    rows: List[Union[System, Absent]]
    samples: Dict[Tuple[str, int], List[Sample]] = field(default_factory=dict)

    def of(self, name: str, callers: int) -> List[Sample]:
        """The samples of a system; none when it is absent."""
        return self.samples.get((name, callers), [])


def take(rows: Sequence[Union[System, Absent]], plan: Plan) -> Results:
    """Measures every system that is there, the odd rounds in the rows' order and the even ones in the opposite order."""
    results = Results(list(rows))
    systems = [row for row in rows if isinstance(row, System)]
    for callers in plan.callers:
        for number in range(plan.rounds):
            for system in systems if number % 2 == 0 else systems[::-1]:
                say(f"{callers} callers, round {number + 1} of {plan.rounds}: {system.name}")
                sample = measure(system, callers, plan.connections, plan.seconds)
                results.samples.setdefault((system.name, callers), []).append(sample)
    say("")
    return results


def cost(sample: Sample, role: Optional[str] = None) -> float:
    """Microseconds of CPU a request of one process, or of all of them but the loader."""
    if role:
        return sample.cpu_us[role]
    return sum(spent for name, spent in sample.cpu_us.items() if name != LOADER)


@dataclass(frozen=True)
class Ratio:
    """One figure over another, round by round."""

    # (row, role): the cost of one process of a row; role None is all of them.
    above: Tuple[str, Optional[str]]
    below: Tuple[str, Optional[str]]
    # What it must not exceed; None when it is only for information.
    at_most: Optional[float] = None
    # What it is called; the two roles when it is empty.
    name: str = ""

    def values(self, results: Results, callers: int) -> List[float]:
        """The ratio in each round; none when one of the two is absent."""
        pairs = zip(results.of(self.above[0], callers), results.of(self.below[0], callers))
        return [cost(above, self.above[1]) / cost(below, self.below[1]) for above, below in pairs if cost(below, self.below[1]) > 0]


def middle(samples: Sequence[Sample], figure) -> float:
    """The median of a figure over the rounds."""
    return median(figure(sample) for sample in samples)


def say(progress: str) -> None:
    """Shows on a terminal what is being done; the report stays clean."""
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
