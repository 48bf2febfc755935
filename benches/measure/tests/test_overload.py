"""What the suite "overload" makes of the loader's reports."""

from __future__ import annotations

import unittest

from measure import overload, overload_report
from measure.overload import CLOSED, Measured, Outcome
from measure.rounds import Plan


def outcome(good: float, **figures: float) -> Outcome:
    zero = dict.fromkeys(("refused", "given_up", "late", "failed", "p50_ms", "p99_ms", "refusal_p99_ms"), 0.0)
    return Outcome(offered=300.0, good=good, **{**zero, **figures})


class Outcomes(unittest.TestCase):
    def test_every_call_is_answered_in_time_or_has_a_reason(self) -> None:
        report = {
            "requests": 200,
            "rps": 50.0,
            "errors": {"RESOURCE_EXHAUSTED": 80, "DEADLINE_EXCEEDED": 10, "late": 6, "hang": 3, "UNAVAILABLE": 1},
            "latency_ms": {"p50": 5.0, "p99": 9.0},
            "error_latency_ms": {"RESOURCE_EXHAUSTED": {"p99": 1.5}},
        }
        told = overload.outcome(report, 2.0)
        self.assertEqual((told.offered, told.good, told.refused, told.given_up, told.late), (100.0, 50.0, 0.4, 0.05, 0.03))
        self.assertAlmostEqual(told.failed, 0.02)
        self.assertAlmostEqual(told.answered, 0.5)
        self.assertEqual(told.refusal_p99_ms, 1.5)

    def test_the_share_of_the_peak_is_taken_round_by_round(self) -> None:
        told = {("1x", ""): [outcome(100.0), outcome(200.0)], ("3x", ""): [outcome(90.0), outcome(150.0)]}
        measured = Measured("worker", {CLOSED: [outcome(300.0)] * 2, **told, ("3x, 250 ms", ""): [outcome(500.0)] * 2})
        self.assertEqual(measured.shares(("3x", "")), [0.9, 0.75])
        self.assertEqual(measured.shares(("3x, 250 ms", "")), [1.0, 1.0])

    def test_the_streams_of_a_mix_are_added_up(self) -> None:
        mix = {("classes", "high"): [outcome(20.0)], ("classes", "low"): [outcome(55.0)]}
        self.assertEqual(Measured("worker", {("1x", ""): [outcome(100.0)], **mix}).together("classes"), [0.75])


class Told(unittest.TestCase):
    def lines(self, good: float, failed: float = 0.0) -> str:
        outcomes = {CLOSED: [outcome(100.0)], ("1x", ""): [outcome(100.0)], ("3x", ""): [outcome(good, failed=failed)]}
        return "\n".join(overload_report.lines([Measured("worker", outcomes)], Plan((), 8, 1, 6.0)))

    def test_only_a_load_above_what_saturates_has_a_target(self) -> None:
        self.assertEqual(self.lines(90.0).count("at least 0.90: reached"), 1)
        self.assertEqual(self.lines(89.0).count("at least 0.90: MISSED"), 1)

    def test_calls_that_fail_otherwise_cannot_be_overlooked(self) -> None:
        self.assertIn("0.50% OF THE CALLS FAILED OTHERWISE", self.lines(99.0, failed=0.005))
        self.assertNotIn("FAILED", self.lines(99.0))


if __name__ == "__main__":
    unittest.main()
