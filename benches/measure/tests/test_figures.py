"""The arithmetic between what the kernel and the loader say and what the report shows."""

from __future__ import annotations

import unittest

from measure import procstat, report
from measure.rounds import Plan, Ratio, Results, cost
from measure.system import Absent, Sample


def sample(**cpu_us: float) -> Sample:
    return Sample(rps=1000.0, p50_ms=1.0, p99_ms=2.0, cpu_us=cpu_us, others=0.0)


class Figures(unittest.TestCase):
    def test_cpu_time_is_user_plus_system_even_if_the_name_has_brackets(self) -> None:
        stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 1 2 3"
        self.assertEqual(procstat._cpu_us_of(stat), 200 * procstat._TICK_US)

    def test_the_machine_s_time_leaves_out_what_was_idle_or_stolen(self) -> None:
        self.assertEqual(procstat._machine_us_of("cpu  1 2 4 1000 1000 8 16 1000 0 0\ncpu0 1"), 31 * procstat._TICK_US)

    def test_the_cost_of_a_row_leaves_out_the_loader(self) -> None:
        self.assertEqual(cost(sample(gateway=20.0, upstream=10.0, loader=99.0)), 30.0)
        self.assertEqual(cost(sample(gateway=20.0, upstream=10.0, loader=99.0), "gateway"), 20.0)

    def test_a_ratio_pairs_the_rounds_and_is_absent_where_a_side_is(self) -> None:
        results = Results([], {("g", 64): [sample(g=10.0), sample(g=30.0)], ("e", 64): [sample(e=20.0), sample(e=20.0)]})
        self.assertEqual(Ratio(("g", "g"), ("e", "e")).values(results, 64), [0.5, 1.5])
        self.assertEqual(Ratio(("g", "g"), ("x", "x")).values(results, 64), [])

    def test_a_target_is_reached_or_missed_by_the_median(self) -> None:
        self.assertIn("reached", report._verdict(1.0, 1.0))
        self.assertIn("MISSED", report._verdict(1.01, 1.0))
        self.assertEqual(report._verdict(9.0, None), "")


class Shown(unittest.TestCase):
    def test_an_absent_peer_says_how_to_get_it(self) -> None:
        results = Results([Absent("Envoy", "not installed: get it with X")])
        text = "\n".join(report.of_shell(results, Plan((1,), 8, 3, 4.0)))
        self.assertIn("not installed: get it with X", text)

    def test_failed_calls_cannot_be_overlooked(self) -> None:
        bad = Sample(1.0, 1.0, 1.0, {"loader": 1.0}, 0.0, errors={"UNAVAILABLE": 7}, example="UNAVAILABLE: no worker")
        self.assertIn("7 CALLS FAILED: UNAVAILABLE: no worker", report._by_process([bad]))

    def test_columns_line_up(self) -> None:
        lines = report.table(["a", "b", "c"], [["long name", "1", "x"], ["s", "1,000", "y"]])
        self.assertEqual(lines, ["a              b  c", "---------  -----  -", "long name      1  x", "s          1,000  y"])


if __name__ == "__main__":
    unittest.main()
