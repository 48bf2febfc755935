"""The answers of the suite "openai", who gives them, and how they are told."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import unittest
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Iterator, List, Tuple

from measure import chat, openai, places
from measure.report_openai import of_openai
from measure.rounds import Plan, Results
from measure.system import Absent, Ask, Sample, System
from measure.wire import fields, first

from paced_upstream import Pace  # A script among the peers, whose folder `places` has made known.


def unframed(data: bytes) -> Iterator[bytes]:
    while data:
        length = int.from_bytes(data[1:5], "big")
        yield data[5 : 5 + length]
        data = data[5 + length :]


class Answers(unittest.TestCase):
    def test_both_forms_of_a_whole_answer_say_the_same(self) -> None:
        piece, used = unframed(chat.whole_framed())
        self.assertEqual(first(piece, 5).decode(), chat.told(chat.whole(), stream=False))
        self.assertEqual(len([number for number, _ in fields(piece) if number == 7]), chat.WHOLE)
        self.assertEqual(dict(fields(first(used, 9)))[3], json.loads(chat.whole())["usage"]["completion_tokens"])

    def test_both_forms_of_a_stream_say_the_same(self) -> None:
        files = chat.paced()
        self.assertEqual(chat.told(files["http-chunk"] * 3 + files["http-end"], stream=True), chat.WORD * 3)
        (piece,) = unframed(files["grpc-chunk"])
        self.assertEqual(first(piece, 5).decode(), chat.WORD)

    def test_a_question_is_a_kilobyte_that_says_how_it_is_to_be_answered(self) -> None:
        for stream in (False, True):
            asked = chat.question(stream=stream)
            self.assertTrue(950 < len(asked) < 1_100, len(asked))
            self.assertEqual(json.loads(asked)["stream"], stream)

    def test_what_is_no_answer_or_does_not_end_says_nothing(self) -> None:
        files = chat.paced()
        for body in (b"", b"{}", b"<html>", b"[1]", b'{"choices": []}', files["http-chunk"]):
            self.assertEqual((chat.told(body, stream=False), chat.told(body, stream=True)), ("", ""), body)
        error = b'data: {"error": {"message": "full"}}\n\ndata: [DONE]\n\n'
        self.assertEqual(chat.told(files["http-chunk"] + error, stream=True), "")


class Paced(unittest.TestCase):
    """The upstream that streams, with three chunks and no time between them."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.files = chat.paced()
        for name, content in self.files.items():
            (Path(folder.name) / name).write_bytes(content)
        command = [sys.executable, str(places.PEERS / "paced_upstream.py"), folder.name, "3", "0", "together"]
        self.upstream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.upstream.stdout.close)
        self.addCleanup(self.upstream.wait)
        self.addCleanup(self.upstream.terminate)
        self.address = self.upstream.stdout.readline().split()[-1]

    def test_every_post_on_a_connection_gets_all_chunks(self) -> None:
        connection = HTTPConnection(self.address, timeout=30)
        self.addCleanup(connection.close)
        for method, wanted in (("POST", None), ("GET", self.files["http-other"]), ("POST", None)):
            connection.request(method, "/v1/chat/completions", b"{}" if method == "POST" else None)
            self.assertEqual(connection.getresponse().read(), wanted or self.files["http-chunk"] * 3 + self.files["http-end"])

    def test_every_call_of_grpc_gets_all_messages_and_a_status(self) -> None:
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client, client.makefile("rb") as answers:
            # Settings, then two calls: header blocks that nobody reads, the second call's message in a frame of its own.
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0) + self.frame(1, 5, 1, b"\x83"))
            client.sendall(self.frame(1, 4, 3, b"\x83") + self.frame(0, 1, 3, b"\0\0\0\0\0"))
            data, ended = {1: b"", 3: b""}, set()
            while len(ended) < 2:
                kind, flags, stream, payload = self.read(answers)
                if kind == 0:
                    data[stream] += payload
                if kind == 1 and flags & 1:
                    self.assertIn(b"grpc-status\x010", payload)
                    ended.add(stream)
        self.assertEqual(data, dict.fromkeys((1, 3), self.files["grpc-chunk"] * 3 + self.files["grpc-end"]))

    @staticmethod
    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload

    @staticmethod
    def read(answers) -> Tuple[int, int, int, bytes]:
        head = answers.read(9)
        return head[3], head[4], int.from_bytes(head[5:], "big"), answers.read(int.from_bytes(head[:3], "big"))


class Moments(unittest.TestCase):
    def begins(self, together: bool, *moments: float) -> List[float]:
        pace = Pace(Path(), 1, 0.5, together, count())
        return [pace._begin(now) - now for now in moments]

    def test_streams_together_begin_at_the_same_moments(self) -> None:
        self.assertEqual(self.begins(True, 7.0, 7.125, 7.25), [0.0, 0.375, 0.25])

    def test_streams_apart_do_not_chime(self) -> None:
        begins = sorted(self.begins(False, *[7.0] * 8))
        self.assertTrue(0.0 <= begins[0] and begins[-1] < 0.5)
        self.assertGreater(min(after - before for before, after in zip(begins, begins[1:])), 0.02)


class Told(unittest.TestCase):
    def results(self, cpu: float, **failed: int) -> Results:
        def sample(role: str, cpu_us: float) -> Sample:
            return Sample(10.0, 1.0, 2.0, {role: cpu_us, "loader": 9.0}, 0.0, errors=failed, example="status 429: 3 requests" if failed else None)

        ask = Ask("/", Path("body"), http1=True)
        rows = [System("nginx 1.22", {}, "", ask=ask), Absent(openai.VLLM, "not installed: X"), System(openai.GATEWAY, {}, "", ask=ask)]
        samples = {("nginx 1.22", 64): [sample("nginx", 10.0)], (openai.GATEWAY, 64): [sample("gateway", cpu)]}
        return Results(rows, samples)

    def measured(self, cpu: float, **failed: int) -> openai.Measured:
        return openai.Measured(self.results(cpu), {"apart": self.results(5.0), "together": self.results(2.0, **failed)})

    def test_the_gateway_is_set_against_every_peer_that_is_here(self) -> None:
        text = "\n".join(of_openai(self.measured(25.0), Plan((64,), 8, 1, 4.0)))
        self.assertRegex(text, r"gateway, every policy / nginx +2\.50")
        self.assertRegex(text, r"many workers:[\s\S]+?gateway, every policy / nginx +0\.50")
        self.assertRegex(text, r"one worker:[\s\S]+?gateway, every policy / nginx +0\.20")
        self.assertNotIn("/ vllm-router", text)
        self.assertIn("not installed: X", text)
        self.assertIn("64 callers on 64 connections", text)

    def test_failed_calls_cannot_be_overlooked(self) -> None:
        text = "\n".join(of_openai(self.measured(25.0, status=3), Plan((64,), 8, 1, 4.0)))
        self.assertIn("3 CALLS FAILED: status 429", text)


if __name__ == "__main__":
    unittest.main()
