"""What the suite "minilm" sends, reads and concludes, without a server."""

from __future__ import annotations

import array
import json
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List

from measure import agreement, dialects, encoder_peers, encoders, minilm, procstat, report_minilm, sentences
from measure.encoders import Served
from measure.minilm import Cell, Memory, Results
from measure.rounds import Plan
from measure.system import Absent, Sample, System
from measure.wire import field, fields, first, floats

VECTOR = [0.5, -0.25, 1.0]
PACKED = array.array("f", VECTOR).tobytes()
COLUMN = ("32", 16)


class Wire(unittest.TestCase):
    def test_numbers_strings_and_messages_are_read_as_they_were_written(self) -> None:
        message = field(1, "minilm") + field(2, 300) + field(19, field(1, b"\x00\xff"))
        self.assertEqual(list(fields(message)), [(1, b"minilm"), (2, 300), (19, b"\x0a\x02\x00\xff")])
        self.assertEqual(first(message, 19, 1), b"\x00\xff")
        self.assertEqual(first(message, 7, 1), b"")

    def test_a_known_message_has_the_published_bytes(self) -> None:
        self.assertEqual(field(1, 150), b"\x08\x96\x01")
        self.assertEqual(field(2, "testing"), b"\x12\x07testing")

    def test_fixed_width_fields_are_passed_over(self) -> None:
        self.assertEqual([value for number, value in fields(b"\x0d\x01\x02\x03\x04" + field(3, 7)) if number == 3], [7])

    def test_a_message_that_is_cut_off_is_an_error(self) -> None:
        whole = field(1, 300) + field(2, "testing")
        for cut in (1, 2, 4, len(whole) - 1):
            with self.assertRaises(ValueError, msg=f"{cut} bytes"):
                list(fields(whole[:cut]))

    def test_floats_are_little_endian(self) -> None:
        self.assertEqual(floats(b"\x00\x00\x80\x3f\x00\x00\x00\xc0"), [1.0, -2.0])


class Dialects(unittest.TestCase):
    def test_each_finds_the_vector_in_its_server_s_answer(self) -> None:
        answers = {
            dialects.TORCHMESH: field(1, "minilm") + field(4, field(1, PACKED) + field(2, 32)),
            dialects.TEI: field(1, PACKED) + field(2, field(1, 9)),
            dialects.TORCHSERVE: field(1, PACKED),
            dialects.OPEN_INFERENCE: field(1, "minilm") + field(6, PACKED),
        }
        self.assertEqual(set(answers), set(dialects.ALL))
        for dialect, answer in answers.items():
            self.assertEqual(dialect.vector(answer), VECTOR, dialect.name)

    def test_a_vector_in_typed_contents_is_found_too(self) -> None:
        output = field(1, "embedding") + field(2, "FP32") + field(5, field(6, PACKED))
        self.assertEqual(dialects.OPEN_INFERENCE.vector(field(5, output)), VECTOR)

    def test_our_answer_says_how_many_tokens_were_read(self) -> None:
        self.assertEqual(dialects.tokens_read(field(4, field(1, PACKED) + field(2, 32))), 32)


class Sentences(unittest.TestCase):
    def test_a_text_has_a_word_for_each_token_but_the_two_around_it(self) -> None:
        texts = sentences.texts(["one", "two", "three"], sentences.LENGTHS["mixed"])
        words = [len(text.split()) + 2 for text in texts]
        self.assertEqual(words[:9], [*sentences.LENGTHS["mixed"], sentences.LENGTHS["mixed"][0]])
        self.assertEqual(len(texts), sentences.TEXTS)

    def test_the_texts_are_the_same_every_time_and_differ_from_each_other(self) -> None:
        words = [f"word{number}" for number in range(1000)]
        self.assertEqual(sentences.texts(words, (32,)), sentences.texts(words, (32,)))
        self.assertEqual(len(set(sentences.texts(words, (32,)))), sentences.TEXTS)

    def test_only_whole_plain_words_are_taken_from_the_vocabulary(self) -> None:
        vocabulary = {word: number for number, word in enumerate(["[CLS]", "##ing", "it", "eating", "naïve", "food", "don't", "1999"])}
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = Path(folder) / "tokenizer.json"
            tokenizer.write_text(json.dumps({"model": {"vocab": vocabulary}}))
            self.assertEqual(sentences.vocabulary(tokenizer), ["eating", "food"])


class Agreement(unittest.TestCase):
    def difference(self, vector: List[float], dtype: str) -> object:
        engine = encoders.Engine("e", Path("m"), dtype, "")
        return agreement._difference(Served(System("s", {}, ""), dialects.TORCHMESH, engine), vector, [1.0, 0.0])

    def test_a_vector_may_be_off_by_rounding_only(self) -> None:
        self.assertIsNone(self.difference([1.0, 9e-5], "fp32"))
        self.assertIn("off by 2.0e-04", str(self.difference([1.0, 2e-4], "fp32")))

    def test_bf16_is_held_to_the_direction(self) -> None:
        self.assertIsNone(self.difference([0.999, 3e-2], "bf16"))
        self.assertIn("cosine", str(self.difference([0.9, 0.1], "bf16")))

    def test_a_vector_of_another_length_or_of_not_a_number_is_refused(self) -> None:
        self.assertIn("3 numbers", str(self.difference([1.0, 0.0, 0.0], "fp32")))
        self.assertIsNotNone(self.difference([1.0, float("nan")], "fp32"))
        self.assertIsNotNone(self.difference([1.0, float("nan")], "bf16"))


def sample(rps: float) -> Sample:
    return Sample(rps=rps, p50_ms=1.0, p99_ms=2.0, cpu_us={"worker": 1000.0, "loader": 10.0}, others=0.0)


def results(speeds: Dict[str, List[float]], floor: float = 400.0) -> Results:
    engine = encoders.Engine("native fp32", Path("m"), "fp32", "")
    rows = [Served(System(name, {}, ""), dialects.TORCHMESH, engine if name == encoders.NATIVE else None) for name in speeds]
    cells = {(name, COLUMN): Cell([sample(rps) for rps in taken], [15.6] * len(taken)) for name, taken in speeds.items()}
    floors = {(engine.key, COLUMN): [floor] * 2 for engine in encoders.engines()}
    absent = Absent("Absent peer", "get it with X")
    return Results([*rows, absent], ["32"], cells, floors, {encoders.NATIVE: Memory(200.0, 900.0), encoder_peers.MLSERVER_NAME: Memory(500.0, 600.0)})


class Conclusions(unittest.TestCase):
    def test_ratios_and_shares_pair_the_rounds(self) -> None:
        taken = results({encoders.NATIVE: [390.0, 380.0], encoder_peers.TEI_NAME: [300.0, 200.0]})
        self.assertEqual(taken.ratios(encoders.NATIVE, encoder_peers.TEI_NAME, COLUMN), [1.3, 1.9])
        self.assertEqual(taken.shares(taken.rows[0], COLUMN), [0.975, 0.95])
        self.assertEqual(taken.ratios(encoders.NATIVE, encoder_peers.TRITON_NAME, COLUMN), [])

    def test_the_report_says_who_ran_who_did_not_and_what_was_missed(self) -> None:
        taken = results({encoders.NATIVE: [390.0, 390.0], encoder_peers.TEI_NAME: [350.0, 350.0]})
        text = "\n".join(report_minilm.of_minilm(taken, Plan((16,), 8, 2, 2.0)))
        self.assertIn("Absent peer: get it with X", text)
        self.assertRegex(text, r"worker, native fp32 / text-embeddings-inference, ONNX Runtime +1\.20 +1\.11 +32, 16 callers +MISSED in 1 of 1")
        self.assertRegex(text, r"worker, native fp32 / its floor +0\.95 +0\.97 +32, 16 callers +reached everywhere")
        self.assertRegex(text, r"leanest Python server / worker, native fp32 +2\.00 +2\.50 +reached")

    def test_batches_are_what_the_worker_counted(self) -> None:
        lines = ["# TYPE torchmesh_worker_batch_rows histogram", 'torchmesh_worker_batch_rows_sum{model="minilm"} 480.0']
        lines += ['torchmesh_worker_batch_rows_count{model="minilm"} 32', 'torchmesh_worker_batch_rows_bucket{le="1.0"} 3']
        self.assertEqual(minilm.counted("\n".join(lines)), [480.0, 32.0])

    def test_a_process_belongs_to_the_session_that_the_kernel_says(self) -> None:
        self.assertEqual(procstat._session_of("42 (a) b (c) S 1 42 41 0 -1"), 41)
        self.assertEqual(procstat._mb_of("Name:\tx\nVmHWM:\t  1000 kB\nVmRSS:\t  500 kB\n", "VmHWM"), 1.024)


if __name__ == "__main__":
    unittest.main()
