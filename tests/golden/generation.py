#!/usr/bin/env python3
"""Makes generation.json: what the reference implementation generates with SmolLM2-135M-Instruct and stories15M.

The tests read the committed file; this script is for whoever wants to make it again. It needs PyTorch and transformers in an environment of their own:

    python3 -m venv ~/.cache/torchmesh/golden-venv
    ~/.cache/torchmesh/golden-venv/bin/pip install torch==2.11.0 transformers==5.24.0 jinja2
    python3 setup/fetch.py smollm2 stories
    for model in smollm2 stories; do
      target/release/torchmesh-worker export-language ~/.cache/torchmesh/models/$model --out ~/.cache/torchmesh/golden/$model
    done
    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/generation.py

The weights are the files' own, de-quantised, in 32-bit floats; the attention is the plain one ("eager"); every prompt runs alone.

Of each prompt: its text (for a chat with its messages, of which transformers' template engine made the text), its tokens, and the most probable token after
them, again and again, up to 64 or the first that ends an answer, which is the last one listed. `first` and `later` are what decided the first token and
the one at place `later_at` (counted from 0): the five highest logits with their tokens, and the logarithm of the sum of all exponentials. `closest` is
the smallest lead that a chosen token had over the second one, in logits: where it is tiny, other sums of the same numbers may choose otherwise.
"""

import argparse
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
EXPORTED = pathlib.Path.home() / ".cache" / "torchmesh" / "golden"
LENGTH, LATER, TOP = 64, 10, 5


def user(text):
    return [{"role": "user", "content": text}]


CHATS = [
    user("What is the capital of France?"),
    user("Hi"),
    user("Write a haiku about the sea."),
    user("Translate 'good morning' into French, Spanish and German."),
    user("List three fruits, one per line."),
    user("Write a Python function that reverses a string."),
    user("What is 7 + 12?"),
    user("Explain photosynthesis to a child in two sentences."),
    user("Quelle est la capitale de l'Italie ? Réponds en français."),
    user("東京はどこにありますか？"),
    user("Привет! Как дела? 🙂"),
    user("Name a colour."),
    user("  Spaces   and\ttabs\n\n\nand blank lines, and 1234567890.  "),
    user('Answer in JSON: {"name": ..., "age": ...} for a person called Ann who is 30.'),
    [{"role": "system", "content": "You are a pirate. Answer like one."}, *user("Who are you?")],
    [{"role": "system", "content": "Answer with one word."}, *user("Is water wet?")],
    [*user("My name is Ann."), {"role": "assistant", "content": "Nice to meet you, Ann!"}, *user("What is my name?")],
    [*user("Count to three."), {"role": "assistant", "content": "1, 2, 3."}, *user("Go on."), {"role": "assistant", "content": "4, 5, 6."}, *user("And then?")],
    user("Summarise this: " + " ".join(f"On day {day} the river rose by {7 * day % 13} centimetres overnight." for day in range(1, 41))),
    user("Repeat the word 'mesh' five times."),
]
STORIES = [
    "Once upon a time",
    "",
    "One day, a little girl named Lily",
    "The big dog",
    "Tom and his friend went to the park. They saw a",
    "\"I am hungry,\" said the cat.",
    "It was raining, so",
    "There was a red ball. The ball",
    "Mom said, \"Do not touch the",
    "In a small house lived an old",
    "Sam had 3 apples and 2",
    "The sun",
    "A bird flew over the tall tree and",
    "Ben was sad because",
    "Anna found a shiny",
    "The boy and the girl\nplayed all day.\n",
    "Café naïve 東京 🙂",
    "  two blanks before",
    "Once upon a time, there was a frog who could not jump. Every day he watched the other frogs jump over the pond. He was sad. One morning an old turtle came and said,",
    "The end.",
]


def scores(logits):
    """The highest logits with their tokens, and the logarithm of the sum of exponentials."""
    values, tokens = logits.topk(TOP)
    numbers = [round(value, 5) for value in values.tolist()]
    return {"tokens": tokens.tolist(), "logits": numbers, "sum": round(torch.logsumexp(logits, 0).item(), 5)}


def generate(model, prompt, ends):
    """The most probable tokens after a prompt, and what decided two of them."""
    tokens, decided, closest, cache, step = [], [], float("inf"), None, torch.tensor([prompt])
    while len(tokens) < LENGTH and not (tokens and tokens[-1] in ends):
        with torch.no_grad():
            out = model(step, past_key_values=cache, use_cache=True)
        cache, logits = out.past_key_values, out.logits[0, -1]
        first, second = logits.topk(2).values.tolist()
        closest = min(closest, first - second)
        tokens.append(int(logits.argmax()))
        decided.append(scores(logits))
        step = torch.tensor([[tokens[-1]]])
    later = min(LATER, len(tokens) - 1)
    return {"generated": tokens, "first": decided[0], "later_at": later, "later": decided[later], "closest": round(closest, 5)}


def run(folder, chats, texts):
    """All prompts of one model."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    cases = []
    for messages in chats:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        cases.append({"messages": messages, "text": text, "tokens": tokens, **generate(model, tokens, ends)})
    for text in texts:
        tokens = tokenizer(text)["input_ids"]
        cases.append({"text": text, "tokens": tokens, **generate(model, tokens, ends)})
    for case in cases:
        print(json.dumps(case["text"][-60:]), "->", json.dumps(tokenizer.decode(case["generated"])), case["closest"])
    return {"ends": ends, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exported", type=pathlib.Path, default=EXPORTED, help="where the models were exported to (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "generation.json", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = {"stories": run(arguments.exported / "stories", [], STORIES), "smollm2": run(arguments.exported / "smollm2", CHATS, [])}
    head = json.dumps({"made_with": {"torch": torch.__version__, "transformers": transformers.__version__}})
    parts = []
    for name, model in models.items():
        lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in model["cases"])
        parts.append(f'"{name}": {{"ends": {model["ends"]}, "cases": [\n{lines}\n]}}')
    arguments.out.write_text(f"{head[:-1]},\n" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
