"""What is sent by h2load, and what is made of what it says."""

from __future__ import annotations

import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

from measure import h2load, peers, shell, tls
from measure import mesh as ours
from measure.process import LoadError
from measure.rounds import Results
from measure.system import Absent, Ask, Stage, System
from measure.wire import first

# As h2load 1.52 prints it.
TOLD = """\
starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 500.00ms, 8.00 req/s, 1.03KB/s
requests: 4 total, 6 started, 4 done, 3 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 1.03KB (1055) total, 111B (111) headers (space savings 39.34%), 300B (300) data
                     min         max         mean         sd        +/- sd
time for request:      135us     97.91ms     22.37ms     24.90ms    76.53%
"""
LOG = "1795773660513600\t200\t3000\n1795773660513610\t200\t1000\n1795773660513620\t503\t9000\n1795773660513629\t200\t2000\n"
ASK = Ask("/", Path("body"), tls=True, answer_bytes=100)


class Reports(unittest.TestCase):
    def test_it_reads_as_our_own_loader_s(self) -> None:
        report = h2load.report(TOLD, LOG, ASK, cpu_seconds=0.0002)
        self.assertEqual((report["requests"], report["ok"], report["rps"]), (4, 3, 6.0))
        self.assertEqual(report["latency_ms"], {"p50": 2.0, "p99": 3.0})
        self.assertAlmostEqual(report["cpu_us_per_request"], 50.0)
        self.assertEqual(report["errors"], {"status 503": 1})

    def test_a_success_without_a_message_is_an_error_of_grpc(self) -> None:
        report = h2load.report(TOLD, LOG, replace(ASK, answer_bytes=150), 0.0)
        self.assertEqual((report["ok"], report["errors"]["without a whole answer"]), (2, 1))

    def test_requests_that_broke_are_told(self) -> None:
        broken = TOLD.replace("0 errored, 0 timeout", "2 errored, 1 timeout")
        self.assertEqual(h2load.report(broken, LOG + "1\t-1\t5\n", ASK, 0.0)["errors"]["broken"], 3)

    def test_another_cipher_is_no_fair_comparison(self) -> None:
        other = TOLD.replace("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")
        self.assertEqual(h2load.report(other, LOG, ASK, 0.0)["errors"]["by TLSv1.3 with TLS_AES_256_GCM_SHA384"], 4)
        self.assertNotIn("TLS", str(h2load.report(other, LOG, replace(ASK, tls=False), 0.0)["errors"]))

    def test_what_is_no_report_is_said(self) -> None:
        with self.assertRaisesRegex(LoadError, "connection refused"):
            h2load.report("connection refused", "", ASK, 0.0)

    def test_a_quantile_is_a_value_that_was_there(self) -> None:
        rising = [float(number) for number in range(1, 101)]
        self.assertEqual([h2load.quantile(rising, share) for share in (0.5, 0.99, 1.0)], [50.0, 99.0, 100.0])
        self.assertEqual((h2load.quantile([7.0], 0.01), h2load.quantile([], 0.5)), (7.0, 0.0))


class Amounts(unittest.TestCase):
    def words(self, ask: Ask, callers: int, seconds: float = 4.0) -> str:
        words = h2load.amount(ask, callers, 8, seconds)
        del words[words.index("-t") : words.index("-t") + 2]
        return " ".join(words)

    def test_callers_share_connections_by_http2_and_have_their_own_by_http1(self) -> None:
        self.assertEqual(self.words(ASK, 64), "-c 8 -m 8 -D 4000ms")
        self.assertEqual(self.words(ASK, 1), "-c 1 -m 1 -D 4000ms")
        self.assertEqual(self.words(replace(ASK, http1=True), 64), "-c 64 -m 1 -D 4000ms")

    def test_streams_come_to_their_end_and_there_is_one_at_least(self) -> None:
        streams = replace(ASK, http1=True, seconds=2.0)
        self.assertEqual(self.words(streams, 64), "-c 64 -m 1 -n 128")
        self.assertEqual(self.words(streams, 64, 0.5), "-c 64 -m 1 -n 64")


class Rows(unittest.TestCase):
    def test_without_h2load_the_rows_with_tls_say_how_to_get_it(self) -> None:
        with mock.patch("shutil.which", return_value=None):
            stage = Stage(Path("nowhere"))
            mesh = ours.Mesh(stage)
            rows = list(shell._with_tls(stage, mesh, System(shell.UPSTREAM, {}, ""), None))
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertIsInstance(row, Absent)
            self.assertIn("with TLS", row.name)
            self.assertIn("apt-get install nghttp2-client", row.reason)

    def test_rows_with_tls_are_set_against_their_like(self) -> None:
        plain = [Absent(f"{name}{peers.told(None)}", "") for name in ("Envoy 1.40", "HAProxy 2.6", "nginx 1.22")]
        tls_rows = [Absent(row.name.replace(" ->", f"{peers.WITH_TLS} ->"), "") for row in plain]
        below = {ratio.name: ratio.below for ratio in shell.ratios(Results([*plain, *tls_rows]))}
        self.assertEqual(below["every policy / envoy"], ("Envoy 1.40 -> upstream", "envoy"))
        self.assertEqual(below["every policy with TLS / envoy with TLS"], ("Envoy 1.40 with TLS -> upstream", "envoy"))
        self.assertEqual(below["every policy with TLS / nginx with TLS"], ("nginx 1.22 with TLS -> upstream", "nginx"))


class Calls(unittest.TestCase):
    def test_the_request_is_the_loader_s_kilobyte(self) -> None:
        message = tls.infer_request("noop")
        self.assertTrue(1_024 < len(message) < 1_080)
        self.assertEqual((first(message, 1), first(message, 5, 1)), (b"noop", b"INPUT0"))
        self.assertEqual(len(first(message, 7)), 1_024)

    def test_a_frame_is_a_flag_and_a_length(self) -> None:
        self.assertEqual(tls.framed(b"a" * 300)[:5], b"\0\0\0\x01\x2c")


if __name__ == "__main__":
    unittest.main()
