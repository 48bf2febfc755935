#!/usr/bin/env python3
"""Makes text_tasks.json: what transformers' pipelines answer for a small model of every task of text.

The weights are not stored: `encoders.filled` says what is in each tensor, and the test repeats it. The tokenizer is a WordPiece of a few words. The
explanations are integrated gradients written out here, with autograd. Needs the environment that minilm.py describes:

    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/text_tasks.py
"""

import json
import pathlib

import tokenizers
import torch
import transformers

import encoders

HERE = pathlib.Path(__file__).resolve().parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "the a man woman is in at of and from to with lives works paris berlin tokyo creme brulee anna karl micro soft company good bad very not "
    "money free now please call . , ! ? ' - ##s ##soft ##ing ##ed ##er ##a ##e ##o ##lin ##ris work liv ta ##k ##t"
).split()
LABELS = ["O", "I-PER", "B-PER", "I-LOC", "B-LOC"]
SMALL = {
    "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": 40,
    "vocab_size": len(SPECIAL) + len(WORDS),
}
TEXTS = [
    "Anna lives in Paris, and Karl works at Microsoft in Berlin.",
    "Crème brûlée from Tokyo! Is the woman not good?",
    "🙂 The man talks to Anna; Karl is not in Tōkyō 東京.",
    "free money now",
    "",
]
MASKED = ["Anna lives in [MASK].", "The [MASK] is very [MASK]!", "Crème [MASK] 🙂"]
QUERY = "is the woman in paris?"
DOCUMENTS = ["Anna lives in Paris.", "free money now, please call!", "The man works at Microsoft.", "Crème brûlée"]
STRATEGIES = ["none", "simple", "first", "average", "max"]
STEPS = 32


def tokenizer():
    """A WordPiece tokenizer of BERT's form."""
    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return made, transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=40, **names)


def model(architecture, **settings):
    """A model with the weights of `encoders.filled`, four times as large, so that the scores differ."""
    config = transformers.BertConfig(**SMALL, **settings)
    config._attn_implementation = "eager"
    made = getattr(transformers, architecture)(config).eval()
    state = {}
    for name, tensor in encoders.stored(made):
        values = encoders.filled(name, tuple(tensor.shape))
        state[name] = values if "norm" in name.lower() else values * 4
    made.load_state_dict(state, strict=False)
    made.tie_weights()
    kept = ["model_type", "hidden_act", "layer_norm_eps", "type_vocab_size", "pad_token_id", "id2label", "problem_type", *SMALL]
    written = json.loads(config.to_json_string(use_diff=False))
    kept = {key: written[key] for key in kept if written.get(key) is not None}
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    return made, {"config": {"architectures": [architecture], **kept}, "tensors": shapes}


def rounded(value):
    return round(float(value), 6)


def entities(fast):
    made, entry = model("BertForTokenClassification", id2label=dict(enumerate(LABELS)), label2id={label: at for at, label in enumerate(LABELS)})
    answers = {}
    for strategy in STRATEGIES:
        pipe = transformers.pipeline("token-classification", model=made, tokenizer=fast, aggregation_strategy=strategy)
        key = "entity" if strategy == "none" else "entity_group"
        of_text = lambda text: [[e[key], rounded(e["score"]), e["start"], e["end"]] for e in pipe(text)] if text else []
        answers[strategy] = [of_text(text) for text in TEXTS]
    return {**entry, "texts": TEXTS, "answers": answers}


def labels(fast, problem):
    names = {"id2label": {0: "ham", 1: "spam", 2: "other"}, "label2id": {"ham": 0, "spam": 1, "other": 2}}
    made, entry = model("BertForSequenceClassification", problem_type=problem, **names)
    pipe = transformers.pipeline("text-classification", model=made, tokenizer=fast, top_k=None)
    answers = [[[one["label"], rounded(one["score"])] for one in pipe([text])[0]] for text in TEXTS]
    return {**entry, "texts": TEXTS, "answers": answers, "explained": [explained(made, fast, text) for text in TEXTS[:3]]}


def explained(made, fast, text):
    """Integrated gradients of the best label's logit by the word embeddings, from a text of padding between the same special tokens."""
    encoded = fast(text, return_tensors="pt", return_special_tokens_mask=True)
    special = encoded.pop("special_tokens_mask")
    table = made.get_input_embeddings()
    with torch.no_grad():
        end = table(encoded["input_ids"])
        begin = table(torch.where(special == 1, encoded["input_ids"], torch.tensor(fast.pad_token_id)))
        logits = made(inputs_embeds=end, attention_mask=encoded["attention_mask"]).logits[0]
    label = int(logits.argmax())
    total = torch.zeros_like(end)
    for step in range(STEPS):
        words = (begin + (end - begin) * ((step + 0.5) / STEPS)).requires_grad_(True)
        made(inputs_embeds=words, attention_mask=encoded["attention_mask"]).logits[0, label].backward()
        total += words.grad
    attributions = (total * (end - begin)).sum(-1)[0] / STEPS
    return {"label": made.config.id2label[label], "logit": rounded(logits[label]), "attributions": [rounded(a) for a in attributions]}


def masks(fast):
    made, entry = model("BertForMaskedLM")
    pipe = transformers.pipeline("fill-mask", model=made, tokenizer=fast, top_k=3)
    answers = []
    for text in MASKED:
        found = pipe(text)
        found = found if isinstance(found[0], list) else [found]
        answers.append([[[one["token"], rounded(one["score"])] for one in mask] for mask in found])
    return {**entry, "texts": MASKED, "answers": answers}


def ranks(fast):
    made, entry = model("BertForSequenceClassification", num_labels=1)
    encoded = fast([QUERY] * len(DOCUMENTS), DOCUMENTS, padding=True, return_token_type_ids=True, return_tensors="pt")
    with torch.no_grad():
        scores = torch.sigmoid(made(**encoded).logits[:, 0])
    return {**entry, "query": QUERY, "documents": DOCUMENTS, "answers": [rounded(score) for score in scores]}


def main():
    own, fast = tokenizer()
    cases = {
        "tokenizer": json.loads(own.to_str()),
        "entities": entities(fast),
        "softmax": labels(fast, None),
        "sigmoid": labels(fast, "multi_label_classification"),
        "masks": masks(fast),
        "ranks": ranks(fast),
    }
    lines = ",\n".join(f'"{name}": {json.dumps(case, ensure_ascii=False, separators=(",", ":"))}' for name, case in cases.items())
    (HERE / "text_tasks.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
