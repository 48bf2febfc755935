#!/usr/bin/env python3
"""Makes language_tokens.json: the tokens of varied texts with the tokenizers of SmolLM2-135M-Instruct and of stories15M.

The tests read the committed file; this script is for whoever wants to make it again. It needs PyTorch, transformers and gguf in an environment of their own:

    python3 -m venv ~/.cache/torchmesh/golden-venv
    ~/.cache/torchmesh/golden-venv/bin/pip install torch==2.11.0 transformers==5.24.0 gguf==0.19.0
    python3 setup/fetch.py smollm2 stories
    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/language_tokens.py

SmolLM2's tokens are those of transformers' own reading of the GGUF file, with one correction: it does not read `tokenizer.ggml.pre`, which says that every
digit is cut off by itself, as the published tokenizer does. stories15M's are those of the encoding that llama2.c itself does, written down again below,
with Llama 2's ids of bytes. Texts with special tokens, which that program does not know, and with the sign that Llama 2 itself writes for a blank, which
it reads as another character, are left out there.
"""

import argparse
import json
import pathlib
import random
import struct

import tokenizers
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MODELS = pathlib.Path.home() / ".cache" / "torchmesh" / "models"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
VOCABULARY, FIRST_PIECE, BYTES = 32000, 259, 3

HAND_MADE = [
    "", " ", "  ", "\n", "\t", "\r\n", "Hello", "Hello, world!", " leading", "trailing ", "  two  spaces", "tabs\tand\nlines\n\n\nmore", "a\r\nb\rc",
    "12345", "a1b22c333", "  12 apples", "3.14159e-26", "1,000,000", "2026-11-22T10:00:00Z", "٣٤٥", "½ ² Ⅷ", "it's we're I'll they'd", "IT'S", "don’t",
    "Crème brûlée coûte 4,50 €", "a\u0301 e\u0301 ñ n\u0303", "東京の天気は晴れです。", "서울은 맑음", "Привет, мир!", "مرحبا بالعالم", "שלום", "नमस्ते", "ไทย",
    "🙂", "👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷", "x🙂y", "\u00a0nbsp\u2003em\u200bzero", "\ufeffbom", "nul\0nul", "\x7f\x1b[0m", "aaaaaaaaaaaaaaaa", " " * 17, "\n" * 9, "-" * 40,
    "https://example.com/a?b=c#d", "user@example.com", '{"a": [1, 2, null], "b": "\\n"}', "<html><body class='x'>&amp;</body></html>", "SELECT * FROM t WHERE x >= 10;",
    "def f(x):\n    return x**2  # comment\n", "fn main() {\n\tprintln!(\"{}\", 1 << 3);\n}", "if (a&&b||!c) { d[i++] -= 0x1F; }", "$x^2 + \\frac{1}{2}$",
    "CamelCase snake_case kebab-case SCREAMING", "supercalifragilisticexpialidocious", "Zażółć gęślą jaźń", "İstanbul ıssız", "ﬁ ﬂ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "￥１２３",
    "Ġ", "<0x0A>", "\u2028\u2029", "¡¿Qué?!", "...", "“quoted” ‘text’ — dash – en", "a_b__c", "\\", "'", "\"",
]  # fmt: skip
FOR_SMOLLM2 = [
    "▁", "▁▁ a", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "x<|im_end|>y", "<|im_end|> <|im_end|>", "<|im_start|", "<repo_name>a<file_sep>b",
]  # fmt: skip
WORDS = "the a Once upon time was 1 42 007 x = y ( ) ; : , . ! ? é ß 東 мир 🙂 'll 's don't\n \t   \n\n -- == != => // # @ & % $ € ~ ` ^ | _ foo_bar FooBar HTTP".split(" ")


def texts():
    """Those made by hand, and as many random ones as make up 200 with them."""
    draw = random.Random(20261122)
    made = [(" " if draw.random() < 0.6 else "").join(draw.choices(WORDS, k=draw.randint(2, 12))) for _ in range(200 - len(HAND_MADE))]
    return HAND_MADE + made


class Llama2c:
    """The tokenizer of llama2.c: the pair whose piece has the highest score is merged, again and again."""

    def __init__(self, path):
        data, at, self.pieces, self.scores = path.read_bytes(), 4, [], []
        for _ in range(VOCABULARY):
            score, length = struct.unpack_from("<fi", data, at)
            self.pieces.append(data[at + 8 : at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.ids = {piece: number for number, piece in enumerate(self.pieces) if number >= FIRST_PIECE}

    def encode(self, text):
        tokens = [1] + ([self.ids[b" "]] if text else [])
        for character in text:
            piece = character.encode()
            tokens += [self.ids[piece]] if piece in self.ids else [byte + BYTES for byte in piece]
        while True:
            found = [(self._merged(tokens, place), -place) for place in range(len(tokens) - 1)]
            best = max((one for one in found if one[0] is not None), default=None)
            if best is None:
                return tokens
            place = -best[1]
            tokens[place : place + 2] = [best[0][1]]

    def _merged(self, tokens, place):
        pair = self.pieces[tokens[place]] + self.pieces[tokens[place + 1]]
        return (self.scores[self.ids[pair]], self.ids[pair]) if pair in self.ids and min(tokens[place : place + 2]) >= FIRST_PIECE else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=MODELS, help="where the models were fetched to (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "language_tokens.json", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    smollm2 = transformers.AutoTokenizer.from_pretrained(arguments.models / "SmolLM2-135M-Instruct", gguf_file=GGUF)
    steps = [tokenizers.pre_tokenizers.Digits(individual_digits=True), tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)]
    smollm2.backend_tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(steps)
    stories = Llama2c(arguments.models / "stories15M" / "tokenizer.bin")
    cases = [{"text": text, "smollm2": smollm2(text)["input_ids"], "stories": stories.encode(text)} for text in texts()]
    cases += [{"text": text, "smollm2": smollm2(text)["input_ids"]} for text in FOR_SMOLLM2]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"made_with": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}})
    arguments.out.write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{arguments.out}: {len(cases)} texts")


if __name__ == "__main__":
    main()
