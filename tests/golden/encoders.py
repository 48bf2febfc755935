#!/usr/bin/env python3
"""Makes encoders.json: what transformers answers for small encoders of every family and head that the worker runs by itself.

The weights are not stored: the file names every tensor and its shape, and `filled` below, which the test repeats, says what is in it. Needs
the environment that minilm.py describes:

    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/encoders.py
"""

import json
import pathlib

import numpy
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 50}
DISTIL = {"dim": 16, "hidden_dim": 24, "n_heads": 4, "n_layers": 2, "vocab_size": 50}
LABELS = {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
CASES = [
    ("BertModel", "bert", {**SMALL, "max_position_embeddings": 24}),
    ("BertForSequenceClassification", "bert", {**SMALL, **LABELS, "max_position_embeddings": 24, "hidden_act": "gelu_new"}),
    ("BertForTokenClassification", "bert", {**SMALL, **LABELS, "max_position_embeddings": 24}),
    ("XLMRobertaModel", "xlm-roberta", {**SMALL, "max_position_embeddings": 26, "pad_token_id": 1, "type_vocab_size": 1}),
    ("RobertaForSequenceClassification", "roberta", {**SMALL, **LABELS, "max_position_embeddings": 26, "pad_token_id": 1}),
    ("CamembertForTokenClassification", "camembert", {**SMALL, **LABELS, "max_position_embeddings": 26, "pad_token_id": 1}),
    ("DistilBertModel", "distilbert", {**DISTIL, "max_position_embeddings": 24}),
    ("DistilBertForSequenceClassification", "distilbert", {**DISTIL, **LABELS, "max_position_embeddings": 24}),
    ("BertForMaskedLM", "bert", {**SMALL, "max_position_embeddings": 24, "hidden_act": "gelu_new"}),
    ("RobertaForMaskedLM", "roberta", {**SMALL, "max_position_embeddings": 26, "pad_token_id": 1}),
    ("DistilBertForMaskedLM", "distilbert", {**DISTIL, "max_position_embeddings": 24}),
    ("RobertaForSequenceClassification", "roberta", {**SMALL, "id2label": {0: "a"}, "label2id": {"a": 0}, "max_position_embeddings": 26, "pad_token_id": 1}),
    ("DistilBertForTokenClassification", "distilbert", {**DISTIL, **LABELS, "max_position_embeddings": 24}),
    ("MPNetModel", "mpnet", {**SMALL, "max_position_embeddings": 102, "pad_token_id": 1}),
    ("MPNetForSequenceClassification", "mpnet", {**SMALL, **LABELS, "max_position_embeddings": 102, "pad_token_id": 1}),
    ("MPNetForTokenClassification", "mpnet", {**SMALL, **LABELS, "max_position_embeddings": 102, "pad_token_id": 1}),
    ("MPNetForMaskedLM", "mpnet", {**SMALL, "max_position_embeddings": 102, "pad_token_id": 1}),
    ("ElectraModel", "electra", {**SMALL, "embedding_size": 8, "max_position_embeddings": 24}),
    ("ElectraModel", "electra", {**SMALL, "embedding_size": 16, "max_position_embeddings": 24}),
    ("ElectraForSequenceClassification", "electra", {**SMALL, **LABELS, "embedding_size": 8, "max_position_embeddings": 24}),
    ("ElectraForTokenClassification", "electra", {**SMALL, **LABELS, "embedding_size": 8, "max_position_embeddings": 24}),
    ("ElectraForMaskedLM", "electra", {**SMALL, "embedding_size": 8, "max_position_embeddings": 24}),
    ("AlbertModel", "albert", {**SMALL, "num_hidden_layers": 3, "embedding_size": 16, "max_position_embeddings": 24}),
    ("AlbertForSequenceClassification", "albert", {**SMALL, **LABELS, "embedding_size": 8, "max_position_embeddings": 24}),
    ("AlbertForTokenClassification", "albert", {**SMALL, **LABELS, "embedding_size": 8, "max_position_embeddings": 24}),
    ("AlbertForMaskedLM", "albert", {**SMALL, "embedding_size": 8, "max_position_embeddings": 24}),
]
ROWS = [[5], [6, 7, 8, 9, 10, 11, 12], [13, 14, 15], [49, 3, 22], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]]
# As long as the distances of two tokens that MPNet tells apart.
LONG = [[2 + token * 7 % 48 for token in range(100)]]


# What a checkpoint of a masked language model does not store: it is the word embeddings, and a bias, under a second name.
TIED = ("decoder.weight", "decoder.bias", "vocab_projector.weight", "generator_lm_head.weight")


def filled(name, shape):
    """The tensor `name`: numbers from -0.2 to 0.2 that depend on its name and the place; norms are around 1."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    places = numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64)
    mixed = (places * 2654435761 + seed) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    mixed = (mixed * 2246822519) & 0xFFFFFFFF
    mixed ^= mixed >> 13
    values = (mixed / 2**32 - 0.5) * 0.4
    if "norm" in name.lower() and name.endswith("weight"):
        values += 1
    return torch.tensor(values.astype(numpy.float32)).reshape(shape)


def stored(model):
    """The tensors of a checkpoint, by name."""
    return [(name, tensor) for name, tensor in model.state_dict().items() if tensor.is_floating_point() and not name.endswith(TIED)]


def answer(model, rows, pad, with_types):
    """What the model answers for `rows` in one padded batch: for each row its real tokens' values, or its scores."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    inputs = {"input_ids": ids, "attention_mask": mask}
    if with_types:
        inputs["token_type_ids"] = torch.tensor([[index % 2 for index in range(longest)] for _ in rows])
    with torch.no_grad():
        output = model(**inputs)
    values = output.logits if hasattr(output, "logits") else output.last_hidden_state
    cut = [value[: len(row)] if values.dim() == 3 else value for value, row in zip(values, rows)]
    return [[round(number, 6) for number in value.flatten().tolist()] for value in cut]


def case(architecture, kind, settings):
    """One entry of the file."""
    config = transformers.AutoConfig.for_model(kind, **settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, architecture)(config).eval()
    state = {name: filled(name, tuple(tensor.shape)) for name, tensor in stored(model)}
    missing, unexpected = model.load_state_dict(state, strict=False)
    model.tie_weights()
    assert not unexpected and all(name.endswith(("_ids", *TIED)) for name in missing), (missing, unexpected)
    with_types = kind in ("bert", "electra", "albert")
    rows = ROWS + LONG if architecture == "MPNetModel" else ROWS
    written = json.loads(config.to_json_string(use_diff=False))
    kept = [
        "model_type", "hidden_act", "activation", "layer_norm_eps", "max_position_embeddings", "type_vocab_size", "vocab_size", "pad_token_id",
        "position_embedding_type", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "dim", "hidden_dim",
        "n_heads", "n_layers", "id2label", "embedding_size", "relative_attention_num_buckets", "num_hidden_groups",
        "inner_group_num",
    ]
    return {
        "config": {"architectures": [architecture], **{key: written[key] for key in kept if key in written}},
        "tensors": {name: list(tensor.shape) for name, tensor in state.items()},
        "types": with_types,
        "rows": rows,
        "answers": answer(model, rows, config.pad_token_id, with_types),
    }


def main():
    cases = [case(*arguments) for arguments in CASES]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
    (HERE / "encoders.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
