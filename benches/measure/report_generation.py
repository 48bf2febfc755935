"""Says the results of the suite "generation": a table for each number of users, and what was to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Callable, List, Sequence

from . import generation, writer_peers, writers
from .generation import Results, Sample, ratios
from .report import NOISY, table
from .rounds import Plan, middle
from .system import Absent
from .writers import Writer

_HEAD = ("system", "tokens/s", "of the floor", "writing/s", "first ms", "gap ms, p50", "p99", "cores", "client", "others", "")
_MANY = 16


def of_generation(results: Results, plan: Plan) -> List[str]:
    """The whole suite."""
    lines = [
        f"GENERATION: {writers.MODEL}, prompts of {generation.PROMPT} tokens on average that no cache knows, {generation.NEW} new tokens each, the likeliest ones;",
        f"all users send at the same moment; {plan.rounds} round{'s' * (plan.rounds > 1)}; every system has all cores, and as many threads for the model.",
        "tokens/s: all new tokens, from the first prompt sent to the last token. writing/s: only while all users were being written to.",
        "first: to the first token, p50. gap: from a token to the next. client: the share of one core that the asking took. p50 and p99 over all users.",
    ]
    for users in plan.callers:
        lines += ["", f"{users} user{'s' * (users > 1)}", "", *_table(results, users)]
    lines += ["", *_absent(results), *(f"{name} failed: {reason}" for name, reason in results.failures.items())]
    return [*lines, "", *_stalls(results), "", *_aims(results, plan)]


def _table(results: Results, users: int) -> List[str]:
    rows = [_floor_row(results, dtype, users) for dtype in writers.dtypes() if results.floors.get((dtype, users))]
    rows += [_row(results, row, users) for row in results.rows if isinstance(row, Writer) and results.of(row.name, users)]
    return table(_HEAD, rows)


def _floor_row(results: Results, dtype: str, users: int) -> List[str]:
    floors = results.floors[dtype, users]
    whole = median(floor.whole(generation.PROMPT, generation.NEW) for floor in floors)
    writing, step = median(floor.tokens_per_second for floor in floors), median(floor.step_p50_ms for floor in floors)
    return [f"steps in a loop, {dtype}", f"{whole:.1f}", "", f"{writing:.1f}", "", f"{step:.1f}", "", "", "", "", ""]


def _row(results: Results, writer: Writer, users: int) -> List[str]:
    samples = results.of(writer.name, users)

    def figure(of: Callable[[Sample], float], digits: int = 1) -> str:
        return f"{middle(samples, of):,.{digits}f}"

    strangers = max(sample.others for sample in samples)
    return [
        writer.name,
        figure(lambda s: s.written.tokens_per_second),
        _share(results, writer, users),
        figure(lambda s: s.written.writing_per_second),
        figure(lambda s: s.written.first_p50_ms, 0),
        figure(lambda s: s.written.gap_p50_ms),
        figure(lambda s: s.written.gap_p99_ms),
        figure(lambda s: s.cores, 2),
        figure(lambda s: s.client, 2),
        f"{strangers:.0%}" + ("!" if strangers > NOISY else ""),
        results.notes.get(writer.name, ""),
    ]


def _share(results: Results, writer: Writer, users: int) -> str:
    shares = of_the_floor(results, writer, users)
    return f"{median(shares):.2f}" if shares else ""


def of_the_floor(results: Results, writer: Writer, users: int) -> List[float]:
    """What a mesh reaches of its floor, round by round; nothing for a peer."""
    if not writer.is_ours:
        return []
    floors = results.floors.get((writer.dtype, users), [])
    return ratios(_speeds(results, writer.name, users), (floor.whole(generation.PROMPT, generation.NEW) for floor in floors))


def _speeds(results: Results, name: str, users: int) -> List[float]:
    return [sample.written.tokens_per_second for sample in results.of(name, users)]


def _writing(results: Results, name: str, users: int) -> List[float]:
    return [sample.written.writing_per_second for sample in results.of(name, users)]


def _absent(results: Results) -> List[str]:
    return [f"{row.name}: {row.reason}" for row in results.rows if isinstance(row, Absent)]


def _stalls(results: Results) -> List[str]:
    head = (f"{generation.LONG_PROMPT} tokens come while {generation.OTHERS} users are written to", "largest gap ms", "median", "a chunk", "reading", "")
    rows = []
    for name, stalls in results.stalls.items():
        figures = (lambda s: s.largest_gap_ms, lambda s: s.median_gap_ms, lambda s: s.chunk_ms, lambda s: s.reading_ms)
        rows.append([name, *(f"{middle(stalls, figure):,.0f}" for figure in figures), ""])
    return table(head, rows) if rows else []


@dataclass(frozen=True)
class Aim:
    """A figure by rounds, and what its median has to be."""

    what: str
    values: Sequence[float]
    at_least: float = 0.0
    # 0 where there is no such bound.
    at_most: float = 0.0

    def row(self) -> List[str]:
        """Its line."""
        value = median(self.values)
        reached = value <= self.at_most if self.at_most else value >= self.at_least
        bound = f"at most {self.at_most:.2f}" if self.at_most else f"at least {self.at_least:.2f}"
        figures = [f"{each:.2f}" for each in (value, min(self.values), max(self.values))]
        return [self.what, bound, *figures, "reached" if reached else "MISSED"]


def aims(results: Results, plan: Plan) -> List[Aim]:
    """What was to be reached, as far as it was measured."""
    found = []
    for row in results.rows:
        if isinstance(row, Writer) and row.is_ours:
            found += _aims_of(results, row, plan)
    return [aim for aim in found if aim.values]


def _aims_of(results: Results, writer: Writer, plan: Plan) -> List[Aim]:
    name, peer = writer.name, writer_peers.transformers_name(writer.dtype)
    over_peer = ratios(_speeds(results, name, 1), _speeds(results, peer, 1))
    many = f"{name}, {_MANY} users / 1 user"
    found = [Aim(f"{name} / transformers, 1 user", over_peer, at_least=1.3)]
    if {1, _MANY} <= set(plan.callers):
        found.append(Aim(f"{many}, tokens/s", ratios(_speeds(results, name, _MANY), _speeds(results, name, 1)), at_least=4.0))
        found.append(Aim(f"{many}, writing/s", ratios(_writing(results, name, _MANY), _writing(results, name, 1)), at_least=4.0))
    found.append(Aim(f"{name}, largest gap beside a long prompt / a chunk", [stall.chunks for stall in results.stalls.get(name, [])], at_most=2.0))
    alike = f"{name}, first token behind {generation.SHARED} tokens that are known / not known"
    found.append(Aim(alike, results.prefixes.get(name, []), at_most=0.15))
    return found


def _aims(results: Results, plan: Plan) -> List[str]:
    return table(("aim", "", "median", "least", "most", ""), [aim.row() for aim in aims(results, plan)])
