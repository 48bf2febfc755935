"""Says the results: one plain text report."""

from __future__ import annotations

import platform
from pathlib import Path
from statistics import median
from typing import Iterable, List, Sequence

from . import places, shell
from .procstat import peak_mb
from .rounds import LOADER, Plan, Ratio, Results, cost, middle
from .system import Absent, Sample, System

# Above this share of the machine in strangers' hands, the figures are worth little.
NOISY = 0.05


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> List[str]:
    """Lines with columns, the first and the last aligned to the left, the figures between them to the right."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    last = len(head) - 1

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) if at in (0, last) else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))).rstrip()

    return [line(cells[0]), "  ".join("-" * width for width in widths), *(line(row) for row in cells[1:])]


def machine() -> List[str]:
    """What this was measured on."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return [f"{places.CORES} cores, {model}, Linux {platform.release()}; everything on loopback; medians over rounds"]


def of_shell(results: Results, plan: Plan) -> List[str]:
    """The suite "shell"."""
    lines = [
        "SHELL: a no-op model, one call of 1 KB unary gRPC on h2c at a time from each caller; CPU in microseconds a request.",
        "With TLS: 1.3 on the callers' side, AES-128-GCM, an ECDSA certificate, connections that stay; h2load calls in the loader's place.",
    ]
    for callers in plan.callers:
        lines += ["", f"{callers_told(callers, min(callers, plan.connections))}, {rounds_told(plan)}", "", *_shell_table(results, callers)]
        lines += ["", *ratio_lines(shell.ratios(results), results, callers), *_worker_line(results, callers)]
    memory = [f"{role} {peak_mb(process.pid):.0f}" for role, process in _processes(results).items()]
    return [*lines, "", "peak memory, MB: " + ", ".join(memory)]


def _shell_table(results: Results, callers: int) -> List[str]:
    rows = []
    for row in results.rows:
        samples = results.of(row.name, callers)
        if isinstance(row, Absent):
            rows.append([row.name, *[""] * 5, row.reason])
        elif samples:
            rows.append([row.name, *speed(samples), f"{middle(samples, cost):.1f}", others_share(samples), _by_process(samples)])
    return table(["system", "RPS", "p50 ms", "p99 ms", "CPU us", "others", "by process"], rows)


def speed(samples: Sequence[Sample]) -> List[str]:
    """What is answered a second, and the latencies."""
    rps, p50, p99 = (middle(samples, figure) for figure in (lambda s: s.rps, lambda s: s.p50_ms, lambda s: s.p99_ms))
    return [f"{rps:,.0f}", f"{p50:.2f}", f"{p99:.2f}"]


def others_share(samples: Sequence[Sample]) -> str:
    """What strangers took of the machine; marked when that is too much."""
    share = middle(samples, lambda sample: sample.others)
    return f"{share:.0%}" + ("!" if share > NOISY else "")


def _by_process(samples: Sequence[Sample]) -> str:
    roles = [role for role in samples[0].cpu_us if role != LOADER]
    text = " + ".join(f"{role} {middle(samples, lambda sample: cost(sample, role)):.1f}" for role in roles)
    return f"{text} (loader {middle(samples, lambda sample: cost(sample, LOADER)):.1f}){failures(samples)}"


def failures(samples: Sequence[Sample]) -> str:
    """That calls have failed, and how; nothing when none has."""
    failed = sum(sum(sample.errors.values()) for sample in samples)
    example = next((sample.example for sample in samples if sample.example), "")
    return f"  {failed} CALLS FAILED: {example}" if failed else ""


def ratio_lines(ratios: Sequence[Ratio], results: Results, callers: int) -> List[str]:
    """The table of what is set against what."""
    rows = []
    for ratio in ratios:
        values = ratio.values(results, callers)
        if values:
            rows.append([ratio.name or f"{_side(ratio.above)} / {_side(ratio.below)}", *_spread(values), _verdict(median(values), ratio.at_most)])
    return table(["CPU against CPU", "median", "least", "most", "target"], rows) if rows else ["no peer to compare with"]


def _worker_line(results: Results, callers: int) -> List[str]:
    samples = results.of(shell.WORKER, callers)
    if not samples or callers != shell.WORKER_CALLERS:
        return []
    spent = middle(samples, cost)
    return ["", f"worker: {spent:.1f} us a request, {_verdict(spent, shell.WORKER_AT_MOST)}"]


def _side(side: tuple) -> str:
    row, role = side
    return role if role else row


def _spread(values: Sequence[float]) -> List[str]:
    return [f"{value:.2f}" for value in (median(values), min(values), max(values))]


def _verdict(value: float, at_most: float | None) -> str:
    if at_most is None:
        return ""
    return f"at most {at_most:.2f}: " + ("reached" if value <= at_most else "MISSED")


def callers_told(callers: int, connections: int) -> str:
    """Who calls, over how many connections."""
    return f"{callers} caller{'s' * (callers > 1)} on {connections} connection{'s' * (connections > 1)}"


def rounds_told(plan: Plan) -> str:
    """How often and how long."""
    return f"{plan.rounds} round{'s' * (plan.rounds > 1)} of {plan.seconds:g} s"


def _processes(results: Results) -> dict:
    """Each role's process once: where a role is in several rows, the fullest row's."""
    systems = [row for row in results.rows if isinstance(row, System)]
    systems.sort(key=lambda system: len(system.processes))
    return {role: process for system in systems for role, process in system.processes.items()}


def legend() -> List[str]:
    """What the columns say."""
    return [
        "CPU us: user and system time of the row's processes a request, from /proc/PID/stat. others: the share of the machine that other",
        f"programs took meanwhile; above {NOISY:.0%} (!) measure again. Ratios are taken round by round.",
    ]
