"""How the suite "overload" is told."""

from __future__ import annotations

from statistics import median
from typing import Callable, List, Sequence

from . import overload
from .overload import Key, Measured, Outcome
from .report import table
from .rounds import Plan, middle

_HEAD = ("offered", "calls/s", "in time/s", "of the peak", "in time", "refused", "told in ms, p99", "given up", "late", "p50 ms", "p99 ms", "")


def lines(results: Sequence[Measured], plan: Plan) -> List[str]:
    """The whole suite."""
    rounds = f"{plan.rounds} round{'s' * (plan.rounds > 1)} of {plan.seconds:g} s"
    text = [
        f"OVERLOAD: {overload.SEQUENCE} tokens, one sentence a call, {overload.DEADLINE_MS} ms for each unless it says otherwise; calls come at random",
        f"(Poisson) at multiples of what {overload.CALLERS} callers in a closed loop get; {rounds}; the worker has one core, everything else the others",
    ]
    for measured in results:
        text += ["", measured.name, "", *table(_HEAD, _rows(measured))]
    return [*text, "", *_legend()]


def _rows(measured: Measured) -> List[List[str]]:
    return [_row(measured, of) for of in measured.outcomes]


def _row(measured: Measured, of: Key) -> List[str]:
    outcomes = measured.outcomes[of]

    def share(figure: Callable[[Outcome], float]) -> str:
        return f"{middle(outcomes, figure):.1%}"

    return [
        _label(of),
        f"{middle(outcomes, lambda o: o.offered):,.1f}",
        f"{middle(outcomes, lambda o: o.good):,.1f}",
        f"{median(measured.shares(of)):.2f}",
        share(lambda o: o.answered),
        share(lambda o: o.refused),
        f"{middle(outcomes, lambda o: o.refusal_p99_ms):.1f}",
        share(lambda o: o.given_up),
        share(lambda o: o.late),
        f"{middle(outcomes, lambda o: o.p50_ms):.1f}",
        f"{middle(outcomes, lambda o: o.p99_ms):.1f}",
        _verdict(measured, of) + _failures(outcomes),
    ]


def _label(of: Key) -> str:
    flood, quiet = f"{overload.FLOOD:g}x", f"{overload.QUIET:g}x"
    words = {
        ("alone", "high"): f"high, {quiet}, alone",
        ("classes", "high"): f"high, {quiet}, beside low, {flood}",
        ("classes", "low"): f"low, {flood}",
        ("tenants", "quiet"): f"a tenant, {quiet}, beside another, {flood}",
        ("tenants", "crowd"): f"the other, {flood}",
        overload.CLOSED: f"closed loop, {overload.CALLERS} callers",
    }
    return words.get(of, of[0])


def _verdict(measured: Measured, of: Key) -> str:
    mix, stream = of
    if stream in ("low", overload.TENANTS[0]):
        return f"{median(measured.together(mix)):.2f} of the peak together"
    if stream or float(mix.partition("x")[0]) <= 1:
        return ""
    return f"at least {overload.AT_LEAST:.2f}: " + ("reached" if median(measured.shares(of)) >= overload.AT_LEAST else "MISSED")


def _failures(outcomes: Sequence[Outcome]) -> str:
    failed = max(outcome.failed for outcome in outcomes)
    return f"  {failed:.2%} OF THE CALLS FAILED OTHERWISE" if failed else ""


def _legend() -> List[str]:
    return [
        "in time: answered within the deadline, counted from when the call was due. refused: RESOURCE_EXHAUSTED. given up: DEADLINE_EXCEEDED.",
        "late: answered after the deadline. of the peak: in time/s against the best row with that deadline in the round, the closed loop left out.",
    ]
