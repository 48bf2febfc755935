"""Says the results of the suite "minilm": a table for each length of texts, memory, and what was to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Callable, List, Sequence

from . import encoder_peers, encoders, sentences
from .agreement import COSINE, WITHIN
from .encoders import Served
from .minilm import Column, Results
from .report import failures, table
from .rounds import Plan, cost, middle
from .system import Absent, Sample

_PYTHON_SERVERS = (encoder_peers.TORCHSERVE_NAME, encoder_peers.MLSERVER_NAME, encoder_peers.TRITON_NAME)


def of_minilm(results: Results, plan: Plan) -> List[str]:
    """The whole suite."""
    lines = [
        "MINILM: one sentence a request, as text; every system has one core and one thread for the model, the load has another core.",
        f"{plan.rounds} round{'s' * (plan.rounds > 1)} of {plan.seconds:g} s; callers on at most {plan.connections} connections.",
        f"Every vector was held against TorchScript's: within {WITHIN:g}, for bf16 a cosine of at least {COSINE:g}.",
        "ms: p50/p99. Of the floor, batch (sentences a forward): at so many callers each. Cores: the most of them that a system used.",
    ]
    for length in results.lengths:
        lines += ["", f"{_called(length)}: sentences/s", "", *_table(results, length, plan)]
    lines += ["", *_absent(results), *_memory(results)]
    return [*lines, "", *_targets(results, plan)]


def _called(length: str) -> str:
    lengths = sentences.LENGTHS[length]
    return f"{length} tokens" if len(lengths) == 1 else f"{length}: {', '.join(map(str, sorted(lengths)))} tokens in turn, {sum(lengths) / len(lengths):.0f} on average"


def _table(results: Results, length: str, plan: Plan) -> List[str]:
    columns = [(length, callers) for callers in plan.callers]
    head = [
        "system",
        *(f"{callers} caller{'s' * (callers > 1)}" for callers in plan.callers),
        *(f"ms at {callers}" for callers in plan.callers),
        "of the floor",
        "batch",
        "cores",
        "others",
        "",
    ]
    rows = [_floor_row(results, engine.key, columns) for engine in encoders.engines()]
    rows += [_row(results, row, columns) for row in results.rows if isinstance(row, Served)]
    return table(head, rows)


def _floor_row(results: Results, key: str, columns: Sequence[Column]) -> List[str]:
    floors = [f"{median(results.floors[key, column]):,.1f}" for column in columns]
    batches = _joined(columns, lambda column: str(min(column[1], encoders.MAX_BATCH)))
    return [f"forward in a loop, {key}", *floors, *([""] * len(columns)), "", batches, "", "", ""]


def _row(results: Results, served: Served, columns: Sequence[Column]) -> List[str]:
    cells = {column: results.cell(served.name, column) for column in columns}
    speeds = [f"{middle(cells[column].samples, lambda s: s.rps):,.1f}" for column in columns]
    delays = [_delay(cells[column].samples) for column in columns]
    shares = _joined(columns, lambda column: f"{median(results.shares(served, column)):.2f}") if served.engine else ""
    batches = _joined(columns, lambda column: f"{median(cells[column].batches):.0f}") if served.engine else ""
    every = [sample for column in columns for sample in cells[column].samples]
    cores = max(middle(cells[column].samples, lambda s: cost(s) * s.rps / 1e6) for column in columns)
    strangers = max(sample.others for sample in every)
    return [served.name, *speeds, *delays, shares, batches, f"{cores:.2f}", f"{strangers:.0%}", failures(every).strip()]


def _joined(columns: Sequence[Column], say: Callable[[Column], str]) -> str:
    return " ".join(f"{say(column):>4}" for column in columns)


def _delay(samples: Sequence[Sample]) -> str:
    return "/".join(f"{delay:.1f}" if delay < 100 else f"{delay:,.0f}" for delay in (middle(samples, lambda s: s.p50_ms), middle(samples, lambda s: s.p99_ms)))


def _absent(results: Results) -> List[str]:
    return [f"{row.name}: {row.reason}" for row in results.rows if isinstance(row, Absent)]


def _memory(results: Results) -> List[str]:
    rows = [[name, f"{memory.resident:.0f}", f"{memory.peak:.0f}", ""] for name, memory in results.memory.items()]
    return ["", *table(["memory, MB", "resident", "peak", ""], rows)]


@dataclass(frozen=True)
class _Target:
    """One throughput over another, and what it has to be at least."""

    above: str
    below: str
    at_least: float


_OVER_PEERS = [
    _Target(encoders.NATIVE, encoder_peers.TEI_NAME, 1.2),
    _Target(encoders.NATIVE_BF16, encoder_peers.TEI_NAME, 1.8),
    _Target(encoders.NATIVE, encoder_peers.TRITON_NAME, 2.0),
]
# Of the floor with the same batches; one caller waits for each hop of its call, so it is for more of them.
_OF_THE_FLOOR = 0.95


def _targets(results: Results, plan: Plan) -> List[str]:
    columns = [(length, callers) for length in results.lengths for callers in plan.callers]
    rows = [_floor_target(results, served, columns) for served in results.rows if isinstance(served, Served) and served.engine]
    for target in _OVER_PEERS:
        ratios = {column: results.ratios(target.above, target.below, column) for column in columns}
        if any(ratios.values()):
            medians = {column: median(values) for column, values in ratios.items() if values}
            rows.append(_verdict(f"{target.above} / {target.below}", medians, target.at_least))
    rows += _memory_targets(results)
    return table(["target", "at least", "least", "where", ""], rows)


def _floor_target(results: Results, served: Served, columns: Sequence[Column]) -> List[str]:
    medians = {column: median(results.shares(served, column)) for column in columns if column[1] > 1 or len(columns) == 1}
    return _verdict(f"{served.name} / its floor", medians, _OF_THE_FLOOR)


def _verdict(what: str, medians: dict, at_least: float) -> List[str]:
    (length, callers), least = min(medians.items(), key=lambda item: item[1])
    missed = sum(value < at_least for value in medians.values())
    verdict = "reached everywhere" if not missed else f"MISSED in {missed} of {len(medians)} columns"
    return [what, f"{at_least:.2f}", f"{least:.2f}", f"{length}, {callers} callers", verdict]


def _memory_targets(results: Results) -> List[List[str]]:
    peers = [results.memory[name].resident for name in _PYTHON_SERVERS if name in results.memory]
    if not peers:
        return []
    ratio = min(peers) / results.memory[encoders.NATIVE].resident
    return [["resident memory: the leanest Python server / " + encoders.NATIVE, "2.00", f"{ratio:.2f}", "", "reached" if ratio >= 2 else "MISSED"]]
