"""What the suite "generation" asks, reads and concludes, without a server."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import List, Optional
from unittest import mock

from measure import batches, generation, report_generation, streams, waves, writer_peers, writers
from measure.generation import Results, Sample
from measure.load import LoadError
from measure.process import StartError
from measure.report_generation import Aim
from measure.rounds import Plan
from measure.system import Absent, Stage, System
from measure.waves import Answer, Stall, Written
from measure.writers import Floor, Writer

DONE = b"[DONE]"
PLAN = Plan((1, 16), 8, 2, 0)
OURS, PEER = writers.name_of("fp32"), writer_peers.transformers_name("fp32")


def event(text: str, finish: Optional[str] = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "text": text, "finish_reason": finish}]}).encode()


def usage(tokens: int) -> bytes:
    return json.dumps({"choices": [], "usage": {"completion_tokens": tokens}}).encode()


def answer(sent: float, *pieces: float) -> Answer:
    return Answer(sent, list(pieces), len(pieces))


def sample(tokens_per_second: float, writing: float = 0.0) -> Sample:
    return Sample(Written(tokens_per_second, writing, 1.0, 1.0, 1.0), 1.0, 0.0, 0.0)


def writer(name: str, is_peer: bool) -> Writer:
    return Writer(System(name, {}, "", is_peer=is_peer), streams.Door("", "m"), "fp32")


class Waves(unittest.TestCase):
    def test_the_speed_counts_from_the_first_prompt_to_the_last_token(self) -> None:
        told = waves.written([[answer(10.0, 11.0, 12.0), answer(10.0, 12.0, 14.0)]])
        self.assertEqual(told.tokens_per_second, 1.0)
        self.assertEqual((told.first_p50_ms, told.gap_p50_ms, told.gap_p99_ms), (1000.0, 1000.0, 2000.0))

    def test_waves_count_by_their_tokens_and_not_alike(self) -> None:
        slow, fast = [answer(0.0, 4.0, 8.0)], [answer(20.0, 21.0, 22.0)]
        self.assertEqual(waves.written([slow, fast]).tokens_per_second, 4 / 10)

    def test_the_speed_of_writing_leaves_out_the_time_when_somebody_still_waits_or_is_through(self) -> None:
        early, late = answer(0.0, 1.0, 5.0, 6.0, 7.0), answer(0.0, 5.0, 6.0, 7.0, 9.0)
        self.assertEqual(waves.written([[early, late]]).writing_per_second, 2.0)
        apart = [[answer(0.0, 1.0, 2.0), answer(0.0, 3.0, 4.0)]]
        self.assertEqual(waves.written(apart).writing_per_second, 0.0)

    def test_a_piece_of_several_tokens_counts_as_several(self) -> None:
        merged = Answer(0.0, [1.0, 2.0, 3.0], 6)
        self.assertEqual(waves.written([[merged]]).writing_per_second, 2.0)

    def test_a_quantile_is_one_of_the_values(self) -> None:
        self.assertEqual([waves.quantile([3, 1, 2, 4], share) for share in (0.0, 0.5, 0.75, 0.99, 1.0)], [1, 2, 3, 4, 4])


class Stalls(unittest.TestCase):
    def test_only_gaps_that_touch_the_reading_count(self) -> None:
        other = answer(0.0, 1.0, 9.0, 10.5, 12.0, 13.5, 30.0, 31.0)
        told = waves.stall(answer(10.0, 14.0), [other], 4)
        self.assertEqual((told.reading_ms, told.median_gap_ms, told.chunk_ms), (4000.0, 1500.0, 1000.0))
        self.assertEqual(told.largest_gap_ms, 16_500.0, "the gap that the reading ends in is one that it made")

    def test_others_who_wait_for_the_whole_prompt_are_not_taken_for_the_pace_of_its_chunks(self) -> None:
        self.assertEqual(waves.stall(answer(10.0, 18.0), [answer(0.0, 10.0, 18.0, 19.0)], 8).chunks, 8.0)

    def test_a_measurement_without_others_is_an_error(self) -> None:
        with self.assertRaises(ValueError):
            waves.stall(answer(10.0, 14.0), [answer(0.0, 1.0, 2.0)], 4)

    def test_a_prompt_has_the_chunks_that_steps_have_room_for(self) -> None:
        room = writers.CHUNK - generation.OTHERS
        self.assertEqual([generation.chunks(tokens, generation.OTHERS) for tokens in (1, room, room + 1, 2000)], [1, 1, 2, 9])


class Events(unittest.TestCase):
    def test_pieces_are_counted_and_the_usage_says_the_tokens(self) -> None:
        told = streams.read(1.0, [(2.0, event("one")), (3.0, event(" two")), (3.5, event("", "length")), (4.0, usage(5)), (4.0, DONE)])
        self.assertEqual((told.pieces, told.tokens, told.text, told.first), ([2.0, 3.0], 5, "one two", 1.0))

    def test_without_usage_a_piece_is_a_token(self) -> None:
        self.assertEqual(streams.read(0.0, [(1.0, event("a")), (2.0, event("b", "length")), (2.0, DONE)]).tokens, 2)

    def test_an_error_and_a_stream_that_is_cut_off_are_no_answers(self) -> None:
        self.assertIsNone(streams.read(0.0, [(1.0, event("a")), (2.0, b'{"error": {"message": "no"}}'), (2.0, DONE)]))
        self.assertIsNone(streams.read(0.0, [(1.0, event("a"))]))

    def test_a_batch_has_the_same_times_for_all(self) -> None:
        one, two = batches.read({"texts": ["a", "b"], "steps": [0.5, 0.75]})
        self.assertEqual((one.text, two.text, one.pieces, two.tokens, one.first), ("a", "b", [0.5, 0.75], 2, 0.5))


class Server:
    """A server that answers with these parts of a body, one after the other."""

    def __init__(self, status: int, parts: List[bytes]) -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
                self.send_response(status)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for part in [*parts, b""]:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.door = streams.Door("127.0.0.1:%d" % self._server.server_port, "m")

    def __enter__(self) -> "Server":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def body(*events: bytes) -> bytes:
    return b"".join(b"data: " + each + b"\n\n" for each in events)


class Streams(unittest.TestCase):
    def test_events_are_read_however_they_are_cut(self) -> None:
        whole = b": keep-alive\n\n" + body(event("Grüße"), event(" 🌍", "length"), usage(2), DONE)
        for size in (1, 7, len(whole)):
            parts = [whole[at : at + size] for at in range(0, len(whole), size)]
            with Server(200, parts) as server:
                (told,) = server.door.wave([[7, 8]], 2)
            self.assertEqual((told.text, told.tokens, len(told.pieces)), ("Grüße 🌍", 2, 2))
            self.assertEqual(server.asked[0][0], "/v1/completions")
            self.assertEqual(server.asked[0][1], streams.asked("m", [7, 8], 2))

    def test_a_refusal_says_what_the_server_said(self) -> None:
        with Server(429, [b'{"error": "too many"}']) as server, self.assertRaisesRegex(LoadError, "429.*too many"):
            server.door.wave([[7]], 2)

    def test_an_answer_that_ends_too_early_is_no_measurement(self) -> None:
        with Server(200, [body(event("a"), event("b", "stop"), usage(2), DONE)]) as server, self.assertRaisesRegex(LoadError, "2 tokens, not 3"):
            server.door.wave([[7]], 3)

    def test_nobody_there_is_an_error_and_not_a_stack_trace(self) -> None:
        with self.assertRaisesRegex(LoadError, "Refused"):
            streams.Door("127.0.0.1:1", "m").wave([[7]], 2)


class Prompts(unittest.TestCase):
    def test_they_have_the_length_on_average_and_differ_so_that_batches_must_be_filled_up(self) -> None:
        lengths = [len(prompt) for prompt in generation.prompts(16, 128, "a")]
        self.assertEqual(sum(lengths) / len(lengths), 128)
        self.assertGreater(len(set(lengths)), 3)

    def test_a_seed_gives_the_same_ones_and_another_seed_others(self) -> None:
        self.assertEqual(generation.prompts(4, 128, 1, 2), generation.prompts(4, 128, 1, 2))
        one, other = generation.prompts(4, 128, 1, 2), generation.prompts(4, 128, 1, 3)
        self.assertTrue(all(a[:16] != b[:16] for a, b in zip(one, other)))


class Floors(unittest.TestCase):
    def test_the_whole_has_the_time_of_the_prompt_and_that_of_the_answer(self) -> None:
        self.assertEqual(Floor(128.0, 64.0, 1.0).whole(128, 64), 32.0)

    def test_only_ours_has_a_floor(self) -> None:
        results = Results([], {(OURS, 1): [sample(16.0)], (PEER, 1): [sample(8.0)]}, {("fp32", 1): [Floor(128.0, 64.0, 1.0)]})
        self.assertEqual(report_generation.of_the_floor(results, writer(OURS, False), 1), [0.5])
        self.assertEqual(report_generation.of_the_floor(results, writer(PEER, True), 1), [])

    def test_bf16_is_measured_where_the_cpu_multiplies_it(self) -> None:
        self.assertTrue(writers.multiplies_bf16("processor: 0\nflags\t\t: fpu avx512_bf16 sse\n"))
        self.assertFalse(writers.multiplies_bf16("flags\t\t: fpu avx512f\n"))


class Peers(unittest.TestCase):
    def start(self, folder: str, **environment: str) -> List[object]:
        """The rows of the peers on a machine that has none, with this in its environment."""
        nothing = {"PATH": folder, "TORCHMESH_CACHE": folder, writer_peers.TRANSFORMERS_PYTHON: "", **environment}
        with mock.patch.dict(os.environ, nothing):
            return list(writer_peers.start(Stage(Path(folder))))

    def test_each_that_is_not_here_says_how_it_is_had(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            rows = self.start(folder)
        self.assertTrue(all(isinstance(row, Absent) for row in rows))
        reasons = {row.name: row.reason for row in rows}
        self.assertIn(writer_peers.TRANSFORMERS_PYTHON, reasons[PEER])
        for name, had in ((PEER, "get.py transformers"), (writer_peers.LLAMA_NODE, "get.py llama.cpp"), (writer_peers.LLAMA_SERVER, "`llama-server`")):
            self.assertIn(had, reasons[name])

    def test_weights_that_cannot_be_exported_leave_the_row_empty_and_say_why(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            worker = Path(folder) / "release" / "torchmesh-worker"
            worker.parent.mkdir()
            worker.write_text("#!/bin/sh\necho no such file >&2\nexit 65\n")
            worker.chmod(0o755)
            told = {row.name: row.reason for row in self.start(folder, CARGO_TARGET_DIR=folder, **{writer_peers.TRANSFORMERS_PYTHON: "/python"})}
        self.assertEqual(told[PEER], "torchmesh-worker export-language ended with 65: no such file")

    def test_the_server_of_llama_cpp_gets_the_published_file_and_is_asked_where_it_was_told_to_listen(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "llama-server"
            program.write_text('#!/bin/sh\necho "$@"\n')
            program.chmod(0o755)
            stage = Stage(Path(folder))
            with mock.patch.dict(os.environ, {"PATH": folder, "TORCHMESH_CACHE": folder}):
                row = writer_peers.llama_server(stage)
                published = writers.published()
            (process,) = stage.started
            with self.assertRaises(StartError):
                process.wait_for(lambda: False, 10, "end")
            said = process.log.read_text().split()
        at = {flag: said[number + 1] for number, flag in enumerate(said) if flag.startswith("--")}
        self.assertEqual((at["--model"], at["--host"] + ":" + at["--port"]), (str(published), row.door.address))


class Concluded(unittest.TestCase):
    def results(self) -> Results:
        samples = {(OURS, 1): [sample(30.0, 40.0), sample(60.0, 80.0)], (OURS, 16): [sample(120.0, 120.0), sample(180.0, 240.0)]}
        samples[PEER, 1] = [sample(20.0), sample(20.0)]
        stalls, prefixes = {OURS: [Stall(9.0, 30.0, 10.0, 10.0)]}, {OURS: [0.1, 0.3, 0.2]}
        rows = [writer(OURS, False), writer(PEER, True), Absent("vLLM, bf16", "not installed: optional")]
        return Results(rows, samples, {}, stalls, prefixes, {OURS: "writes what transformers writes"})

    def test_ratios_are_taken_round_by_round(self) -> None:
        figures = [(aim.values, aim.row()[-1]) for aim in report_generation.aims(self.results(), PLAN)]
        expected = [([1.5, 3.0], "reached"), ([4.0, 3.0], "MISSED"), ([3.0, 3.0], "MISSED"), ([3.0], "MISSED"), ([0.1, 0.3, 0.2], "MISSED")]
        self.assertEqual(figures, expected)

    def test_an_aim_is_reached_at_its_bound(self) -> None:
        for aim in (Aim("a", [1.3], at_least=1.3), Aim("b", [2.0], at_most=2.0)):
            self.assertEqual(aim.row()[-1], "reached")
        for aim in (Aim("a", [1.29], at_least=1.3), Aim("b", [2.01], at_most=2.0)):
            self.assertEqual(aim.row()[-1], "MISSED")

    def test_without_the_peer_its_aim_is_left_out(self) -> None:
        results = self.results()
        del results.samples[PEER, 1]
        self.assertNotIn("/ transformers", "\n".join(aim.what for aim in report_generation.aims(results, PLAN)))

    def test_the_report_has_every_row_and_says_who_is_missing_and_who_failed(self) -> None:
        results = self.results()
        results.failures["llama"] = "ended with -9"
        text = "\n".join(report_generation.of_generation(results, PLAN))
        for told in (OURS, PEER, "vLLM, bf16: not installed: optional", "llama failed: ended with -9", "writes what transformers writes", "16 users"):
            self.assertIn(told, text)

    def test_where_answers_part_is_told(self) -> None:
        self.assertEqual(generation.compared("a sea", "a sea", "fp32"), "writes what transformers writes")
        self.assertEqual(generation.compared("a sun", "a sea", "fp32"), "WRITES OTHERWISE than transformers behind 3 of 5 characters")
        self.assertEqual(generation.compared("a", "a sea", "bf16"), "parts from transformers behind 1 of 5 characters")


if __name__ == "__main__":
    unittest.main()
