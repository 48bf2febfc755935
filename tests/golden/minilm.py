#!/usr/bin/env python3
"""Makes minilm.json: what the reference implementation says that all-MiniLM-L6-v2 answers.

The tests read the committed file; this script is for whoever wants to make it again. It needs PyTorch and transformers, which
nothing else in this repository does, so give them an environment of their own (about 5 GB):

    python3 -m venv ~/.cache/torchmesh/golden-venv
    ~/.cache/torchmesh/golden-venv/bin/pip install torch==2.11.0 transformers==4.57.6
    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/minilm.py

`make setup` must have fetched the model. The attention is the plain one ("eager"), so that the reference owes nothing to a fused
kernel, and every text is run alone, so that it owes nothing to padding.
"""

import argparse
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MODEL = pathlib.Path.home() / ".cache" / "torchmesh" / "models" / "all-MiniLM-L6-v2"

TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "",
    "Hi",
    "The girl is carrying a baby while two men push carts through the woods.",
    "Crème brûlée coûte 4,50 € à la gare de Besançon; naïve façade.",
    "東京の天気は晴れです。 Привет, мир! 🙂 مرحبا",
    "supercalifragilisticexpialidocious floccinaucinihilipilification 3.14159e-26 https://example.com/a?b=c#d",
    " ".join(f"Sentence number {n} of a long text says that the river rose by {7 * n % 13} centimetres overnight." for n in range(40)),
]


def embed(model, encoded):
    """The mean of the hidden states where the mask is 1, scaled to length 1."""
    with torch.no_grad():
        hidden = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(mean, dim=1)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=MODEL, help="the Hugging Face directory (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "minilm.json", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()

    limit = json.loads((arguments.model / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    model = transformers.AutoModel.from_pretrained(arguments.model, attn_implementation="eager").eval()
    items, embeddings = [], []
    for text in TEXTS:
        encoded = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        embedding = embed(model, encoded)
        embeddings.append(embedding)
        items.append(
            {"text": text, "input_ids": encoded["input_ids"][0].tolist(), "embedding": [round(x, 7) for x in embedding.tolist()]}
        )
    cosine = float(embeddings[0] @ embeddings[1])
    if abs(cosine - 0.7553) > 5e-5:
        raise SystemExit(f"the first two texts should have the cosine 0.7553, not {cosine:.6f}: is this the right model?")
    reference = {
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "max_tokens": limit,
        "cosine_of_first_two": round(cosine, 6),
        "items": items,
    }
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in reference.pop("items"))
    head = json.dumps(reference, ensure_ascii=False)[:-1]
    arguments.out.write_text(f'{head}, "items": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{arguments.out}: {len(items)} texts, cosine of the first two {cosine:.6f}")


if __name__ == "__main__":
    main()
