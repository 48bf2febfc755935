#!/usr/bin/env python3
"""Makes directories.json: what transformers makes of texts in small directories that have a vocabulary and no tokenizer.json: tokens and embeddings.

The vocabularies are trained here on a few sentences. The weights are not stored: `encoders.filled` says what is in each tensor, and the tests repeat it.
Needs the environment that minilm.py describes:

    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/directories.py
"""

import json
import pathlib
import tempfile

import tokenizers
import torch
import transformers

import encoders

HERE = pathlib.Path(__file__).resolve().parent
SENTENCES = [
    "A man is eating food.",
    "The girl is carrying a baby, and two men push carts through the woods.",
    "Crème brûlée coûte 4,50 € à la gare de Besançon.",
    "Anna lives in Paris; Karl works at Microsoft in Berlin.",
]
TEXTS = [
    "A man is eating food.",
    "Anna's CRÈME brûlée, at the gare!",
    "  two\tblanks and a [MASK] or <mask> in  the woods ",
    "東京 🙂 unknown words 4,50 €",
    "</s> is no text, nor is [SEP]",
    "",
]
PAIR = ["Who eats?", "A man is eating food."]


def pieces(special, **settings):
    """A vocab.txt: special tokens, then word pieces."""
    trained = tokenizers.BertWordPieceTokenizer(**settings)
    trained.train_from_iterator(SENTENCES, vocab_size=130, min_frequency=1, special_tokens=special)
    by_id = sorted(trained.get_vocab().items(), key=lambda entry: entry[1])
    return {"vocab.txt": "".join(f"{token}\n" for token, _ in by_id)}


def pairs():
    """A vocab.json and a merges.txt: all bytes, then what they are joined to."""
    trained = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(SENTENCES, vocab_size=330, min_frequency=2, special_tokens=special)
    with tempfile.TemporaryDirectory() as folder:
        trained.save_model(folder)
        return {name: (pathlib.Path(folder) / name).read_text("utf-8") for name in ("vocab.json", "merges.txt")}


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
OLD_MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
CASES = [
    ("bert", pieces(BERT), {}),
    ("bert", pieces(BERT, lowercase=False), {"do_lower_case": False}),
    ("bert", pieces(BERT, lowercase=False), {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}),
    ("mpnet", pieces(MPNET), {"tokenizer_class": "MPNetTokenizer"}),
    ("roberta", pairs(), {}),
    ("roberta", pairs(), {"add_prefix_space": True, "mask_token": OLD_MASK}),
]


def encoder(kind, depth, vocabulary):
    """An encoder with the weights of `encoders.filled`, four times as large, so that texts differ; and its config.json."""
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_hidden_layers": depth, "max_position_embeddings": 66}
    pad = {} if kind == "bert" else {"pad_token_id": 1}
    config = transformers.AutoConfig.for_model(kind, vocab_size=vocabulary, **sizes, **pad)
    config._attn_implementation = "eager"
    made = transformers.AutoModel.from_config(config).eval()
    state = {}
    for name, tensor in encoders.stored(made):
        values = encoders.filled(name, tuple(tensor.shape))
        state[name] = values if "norm" in name.lower() else values * 4
    made.load_state_dict(state, strict=False)
    kept = ["model_type", "hidden_act", "layer_norm_eps", "type_vocab_size", "pad_token_id", "vocab_size", *sizes]
    written = json.loads(config.to_json_string(use_diff=False))
    return made, {"architectures": [type(made).__name__], **{key: written[key] for key in kept if key in written}}, state


def embedding(made, ids):
    """The mean of the hidden states, scaled to length 1."""
    with torch.no_grad():
        mean = made(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
    return [round(value, 6) for value in (mean / mean.norm()).tolist()]


def case(depth, kind, files, settings):
    """One entry of the file: a directory, and what becomes of each text and of a pair."""
    files = {**files, "tokenizer_config.json": json.dumps(settings)}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**files, "config.json": json.dumps({"model_type": kind})}.items():
            (pathlib.Path(folder) / name).write_text(text, "utf-8")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    made, config, state = encoder(kind, depth, len(tokenizer))
    pair = tokenizer(*PAIR, return_token_type_ids=True)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    return {
        "files": files,
        "config": config,
        "tensors": {name: list(tensor.shape) for name, tensor in state.items()},
        "texts": TEXTS,
        "ids": ids,
        "embeddings": [embedding(made, row) for row in ids],
        "pair": PAIR,
        "pair_ids": pair["input_ids"],
        "pair_types": pair["token_type_ids"],
    }


def main():
    cases = [case(depth, *arguments) for depth, arguments in enumerate(CASES, start=1)]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in cases)
    (HERE / "directories.json").write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
