"""Says the results of the suite "soak": a table for each load, and the memory of the gateway."""

from __future__ import annotations

from statistics import median
from typing import List, Sequence

from . import soak
from .report import rounds_told, table
from .rounds import Plan, middle
from .soak import Memory, Offered, Soaked
from .system import Absent

_HEAD = ("system", "bears/s", "answered/s", "p50 ms", "p99 ms", "p99 added", "least", "most", "")


def of_soak(soaked: Soaked, plan: Plan) -> List[str]:
    """The whole suite."""
    lines = [
        f"SOAK: calls of 1 KB unary gRPC on h2c that come at random (Poisson) and wait for nobody; {plan.connections} connections; {rounds_told(plan)}.",
        f"bears: answers a second to {soak.CALLERS} callers in a closed loop. p99 added: to that of the upstream alone at the same moments, ms.",
    ]
    for load_of in soak.LOADS:
        rate = median(each.rate for (of, _), told in soaked.offered.items() for each in told if of == load_of)
        lines += ["", f"{soak.SHARE:.0%} {load_of}: {rate:,.0f} calls a second", "", *table(_HEAD, _rows(soaked, load_of))]
    return [*lines, "", *(_memory_lines(soaked.memory) if soaked.memory else [])]


def _rows(soaked: Soaked, load_of: str) -> List[List[str]]:
    rows = []
    for row in soaked.rows:
        told = soaked.offered.get((load_of, row.name), [])
        if isinstance(row, Absent):
            rows.append([row.name, *[""] * 7, row.reason])
        elif told:
            latencies = [f"{middle(told, figure):.2f}" for figure in (lambda each: each.p50_ms, lambda each: each.p99_ms)]
            added = soaked.added_ms(load_of, row.name)
            spread = [f"{figure(added):.2f}" for figure in (median, min, max)]
            rates = [f"{median(soaked.bears[row.name]):,.0f}", f"{middle(told, lambda each: each.answered):,.0f}"]
            rows.append([row.name, *rates, *latencies, *spread, _failures(told)])
    return rows


def _failures(told: Sequence[Offered]) -> str:
    kinds = sorted({kind for each in told for kind in each.errors})
    counts = {kind: sum(each.errors.get(kind, 0) for each in told) for kind in kinds}
    unsent = counts.pop("unsent", 0)
    late = f"CANNOT KEEP UP: {unsent} calls found {soak.MOST_IN_FLIGHT} others in flight" if unsent else ""
    failed = f"{sum(counts.values())} CALLS FAILED: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()) if counts else ""
    return "; ".join(part for part in (late, failed) if part)


def _memory_lines(memory: Memory) -> List[str]:
    step = memory.calls // len(memory.after)
    told = "risen no further than noise" if memory.grown <= soak.NOISE_MB else "KEPT"
    steps = ", ".join(f"{after:.1f}" for after in memory.after)
    failed = sum(memory.errors.values())
    return [
        f"resident memory of the gateway with every policy on, MB: {memory.before:.1f} before these calls, {memory.filled:.1f} after the first {step:,},",
        f"after each {step:,} of {memory.calls:,} more: {steps}",
        f"from the first {step:,} calls to the last: {memory.grown:+.1f} MB: {told}" + (f"; {failed} CALLS FAILED: {memory.errors}" if failed else ""),
    ]
