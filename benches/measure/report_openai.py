"""Says the results of the suite "openai": a table for each number of callers, and one for streams."""

from __future__ import annotations

from typing import List

from . import chat, openai
from .openai import Measured
from .report import callers_told, failures, others_share, ratio_lines, rounds_told, speed, table
from .rounds import LOADER, Plan, Results, cost, middle
from .system import Absent


def of_openai(measured: Measured, plan: Plan) -> List[str]:
    """The whole suite."""
    lines = [
        f"OPENAI: POST {chat.PATH} by HTTP/1.1, a kilobyte, with answers that take no computing; a connection for each caller; h2load calls.",
        "CPU us is that of the row's own process. The peers' upstream speaks HTTP and the gateway's gRPC, as its routers do; neither is counted.",
    ]
    for callers in plan.callers:
        lines += ["", f"{callers_told(callers, callers)}, {rounds_told(plan)}; CPU in microseconds a request", ""]
        lines += _compared(measured.whole, callers, "RPS")
    lines += [
        "",
        f"{openai.STREAMING_CALLERS} streams at once, {chat.CHUNKS} chunks each, one in {chat.EVERY_SECONDS * 1000:g} ms: "
        f"{chat.CHUNKS * chat.EVERY_SECONDS:g} s, where nothing is late; {rounds_told(plan)};",
        "CPU in microseconds a chunk, the request's included; ms of whole streams",
    ]
    for moments, results in measured.streams.items():
        lines += ["", f"{openai.MOMENTS[moments]}:", "", *_compared(results, openai.STREAMING_CALLERS, "chunks/s")]
    return lines


def _compared(results: Results, callers: int, counted: str) -> List[str]:
    return [*_table(results, callers, counted), "", *ratio_lines(openai.ratios(results), results, callers)]


def _table(results: Results, callers: int, counted: str) -> List[str]:
    rows = []
    for row in results.rows:
        samples = results.of(row.name, callers)
        if isinstance(row, Absent):
            rows.append([row.name, *[""] * 6, row.reason])
        elif samples:
            loader = middle(samples, lambda sample: cost(sample, LOADER))
            rows.append([row.name, *speed(samples), f"{middle(samples, cost):.1f}", f"{loader:.1f}", others_share(samples), failures(samples)])
    return table(["system", counted, "p50 ms", "p99 ms", "CPU us", "loader", "others", ""], rows)
