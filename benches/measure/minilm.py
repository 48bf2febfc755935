"""Suite "minilm": a real model, one sentence of 32 tokens a request, against the same forward passes in a bare loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Dict, List, Optional, Tuple

from . import mesh as ours
from . import places
from .load import measure, wait_until_it_answers
from .rounds import Plan, say
from .system import Sample, Stage, System

MODEL = "minilm"
SEQUENCE = 32
# The worker's own limit when nothing else is set: more callers than this share batches of this size.
MAX_BATCH = 32
WORKER = f"worker, {MODEL}"
MESH = f"gateway -> router -> worker, {MODEL}"
# What must be reached of the floor, at so many callers.
TARGETS = {(WORKER, 64): 0.95, (MESH, 64): 0.93}

_LOAD = [
    *("--model", MODEL),
    *("--tensor", f"input_ids:INT64:1x{SEQUENCE}:2000..{2000 + SEQUENCE}"),
    *("--tensor", f"attention_mask:INT64:1x{SEQUENCE}:1"),
]


@dataclass
class Floors:
    """The floor beside each round (before and after it, in sentences a second), and the systems' samples and shares of it."""

    floor: Dict[int, List[float]] = field(default_factory=dict)
    samples: Dict[Tuple[str, int], List[Sample]] = field(default_factory=dict)
    shares: Dict[Tuple[str, int], List[float]] = field(default_factory=dict)

    def share(self, name: str, callers: int) -> float:
        """The median share of the floor."""
        return median(self.shares[name, callers])


def missing() -> Optional[str]:
    """Why this suite cannot run here; None when it can."""
    model = places.mesh_home() / "models" / MODEL / "1" / "model.pt"
    return ours.missing(*ours.SERVICES) or (None if model.is_file() else f"no model {MODEL}: run `make setup`")


def run(stage: Stage, plan: Plan) -> Floors:
    """Starts a worker alone and a whole mesh, and measures both between two runs of the floor."""
    models = places.mesh_home() / "models"
    mesh = ours.Mesh(stage)
    systems = [ours.worker_alone(mesh, WORKER, models, _LOAD), ours.whole(mesh, MESH, models, _LOAD)]
    for system in systems:
        wait_until_it_answers(system)
    results = Floors()
    for callers in plan.callers:
        for number in range(plan.rounds):
            say(f"{MODEL}, {callers} callers, round {number + 1} of {plan.rounds}")
            _round(systems if number % 2 == 0 else systems[::-1], callers, plan, results)
    say("")
    return results


def _round(systems: List[System], callers: int, plan: Plan, results: Floors) -> None:
    def floor() -> float:
        return ours.bench_floor(places.mesh_home() / "models" / MODEL / "1" / "model.pt", min(callers, MAX_BATCH), SEQUENCE, plan.seconds)

    before = floor()
    samples = [(system.name, measure(system, callers, plan.connections, plan.seconds)) for system in systems]
    around = (before + floor()) / 2
    results.floor.setdefault(callers, []).append(around)
    for name, sample in samples:
        results.samples.setdefault((name, callers), []).append(sample)
        results.shares.setdefault((name, callers), []).append(sample.rps / around)
