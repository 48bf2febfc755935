"""What the suite "lifecycle" makes of the memory that it saw."""

from __future__ import annotations

import unittest

from measure import lifecycle
from measure.lifecycle import Cycled, Lives

NONE_FAILED = {"ok": 900, "errors": {}, "latency_ms": {"p50": 1.0, "p99": 2.0}}


def told(unloaded: list, others: dict = NONE_FAILED) -> str:
    return "\n".join(lifecycle.lines(Lives([Cycled("traced", 100.0, [value + 90.0 for value in unloaded], unloaded)], others)))


class Told(unittest.TestCase):
    def test_what_pools_take_at_first_is_no_growth(self) -> None:
        self.assertIn("from the 10th cycle to the last: +0.0 MB: given back", told([110.0, 150.0] + [160.0] * 98))

    def test_a_little_more_each_cycle_is_kept(self) -> None:
        text = told([100.0 + cycle for cycle in range(1, 101)])
        self.assertIn("+90.0 MB: KEPT", text)
        self.assertIn("an unload gives back 90.0 MB", text)

    def test_failed_calls_cannot_be_overlooked(self) -> None:
        self.assertIn("none failed", told([1.0] * 3))
        self.assertIn("2 CALLS FAILED", told([1.0] * 3, {**NONE_FAILED, "errors": {"UNAVAILABLE": 2}}))


if __name__ == "__main__":
    unittest.main()
