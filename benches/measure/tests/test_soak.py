"""What the suite "soak" makes of the loader's reports and of memory."""

from __future__ import annotations

import unittest

from measure import shell, soak
from measure.report_soak import of_soak
from measure.rounds import Plan
from measure.soak import Memory, Offered, Soaked
from measure.system import Absent, System

REPORT = {"rps": 690.0, "latency_ms": {"p50": 1.0, "p99": 4.0}, "errors": {"unsent": 3}}


def soaked(*p99_ms: float, errors: dict = {}, memory: Memory = Memory(30.0, 38.0, [38.5, 38.0], 200)) -> Soaked:
    rows = [System(shell.UPSTREAM, {}, ""), System(shell.GATEWAY, {}, ""), Absent("Envoy", "not installed: X")]
    found = Soaked(rows, {shell.UPSTREAM: [1000.0, 1200.0], shell.GATEWAY: [500.0, 600.0]}, memory=memory)
    for load_of in soak.LOADS:
        found.offered[load_of, shell.UPSTREAM] = [Offered(700.0, 700.0, 0.5, 2.0), Offered(840.0, 840.0, 0.5, 3.0)]
        found.offered[load_of, shell.GATEWAY] = [Offered(700.0, 699.0, 1.0, p99, errors) for p99 in p99_ms]
    return found


class Loads(unittest.TestCase):
    def test_every_row_is_offered_a_share_of_what_the_upstream_and_what_the_slowest_bears(self) -> None:
        fast, slow = soak.rates({shell.UPSTREAM: 1000.0, shell.GATEWAY: 600.0, shell.POLICIES: 300.0})
        self.assertAlmostEqual(fast, 700.0)
        self.assertAlmostEqual(slow, 210.0)

    def test_what_is_added_is_added_in_the_same_round(self) -> None:
        self.assertEqual(soaked(2.5, 4.0).added_ms(soak.OF_UPSTREAM, shell.GATEWAY), [0.5, 1.0])
        self.assertEqual(soaked(2.5, 4.0).added_ms(soak.OF_UPSTREAM, "Envoy"), [])

    def test_a_report_is_read(self) -> None:
        self.assertEqual(soak.offered(REPORT, 700.0), Offered(700.0, 690.0, 1.0, 4.0, {"unsent": 3}))


class Told(unittest.TestCase):
    def text(self, found: Soaked) -> str:
        return "\n".join(of_soak(found, Plan((), 8, 2, 4.0)))

    def test_the_p99_that_is_added_has_its_spread(self) -> None:
        text = self.text(soaked(2.5, 4.0))
        self.assertRegex(text, r"gateway -> upstream +550 +699 +1\.00 +3\.25 +0\.75 +0\.50 +1\.00")
        self.assertIn("not installed: X", text)
        self.assertNotIn("FAILED", text)

    def test_who_cannot_keep_up_and_what_failed_cannot_be_overlooked(self) -> None:
        text = self.text(soaked(2.5, 4.0, errors={"unsent": 3, "UNAVAILABLE": 1}))
        self.assertIn("CANNOT KEEP UP: 6 calls", text)
        self.assertIn("2 CALLS FAILED: 2 UNAVAILABLE", text)

    def test_memory_that_rises_with_the_calls_is_kept(self) -> None:
        self.assertIn("+0.0 MB: risen no further than noise", self.text(soaked(2.5, 4.0)))
        self.assertIn("+62.0 MB: KEPT", self.text(soaked(2.5, 4.0, memory=Memory(30.0, 38.0, [60.0, 100.0], 200))))
        failed = Memory(30.0, 38.0, [38.0], 200, {"UNAVAILABLE": 2})
        self.assertIn("2 CALLS FAILED", self.text(soaked(2.5, 4.0, memory=failed)))


if __name__ == "__main__":
    unittest.main()
