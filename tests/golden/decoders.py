#!/usr/bin/env python3
"""Makes decoders.json: what the reference implementation answers for tiny decoders of every architecture.

The tests read the committed file; this script is for whoever wants to make it again. It needs PyTorch and transformers in an environment of their own:

    python3 -m venv ~/.cache/torchmesh/golden-venv
    ~/.cache/torchmesh/golden-venv/bin/pip install torch==2.11.0 transformers==5.24.0
    ~/.cache/torchmesh/golden-venv/bin/python tests/golden/decoders.py

No weights are kept: both sides make them from the tensors' names (shared/weights/src/formula.rs is the other side). Element i, in row-major order, of the
tensor NAME is

    h = FNV-1a, 64 bits, of NAME's UTF-8 bytes            (offset basis 0xcbf29ce484222325, prime 0x100000001b3)
    z = h + (i + 1) * 0x9e3779b97f4a7c15                  (all of this modulo 2^64: the i-th output of splitmix64 seeded with h)
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb
    z = z ^ (z >> 31)
    u = (z >> 11) * 2^-53                                 (a 64-bit float, 0 <= u < 1)
    element = base + a * (2 u - 1)                        (in 64-bit floats, then rounded to 32 bits)

where, with NAME cut at its dots, base and a are
    0, 0.2   when the last part is "bias",
    1, 0.2   when the last part is "weight" and the part before it contains "norm" or begins with "ln_",
    0, 0.4   for all others.

A case's config is what its config.json would say: most in the words of published models (rope_theta, rope_scaling), some in those of transformers 5
(rope_parameters). `tensors` are those that a published file of the model has, so a tied output is not among them. The tokens are the same for every
case: token i of LENGTH is (7 i^2 + 3 i + 5) mod 96. `logits` are those after the last three tokens.
"""

import argparse
import json
import pathlib
import tempfile

import numpy
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
VOCABULARY, LENGTH = 96, 24

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SIZES, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
LLAMA |= {"rope_scaling": None}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **SIZES, "hidden_act": "silu", "use_sliding_window": False, "sliding_window": 8}
QWEN2 |= {"max_window_layers": 2, "rms_norm_eps": 1e-6}
QWEN3 = {**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 16, "attention_bias": False, "rope_theta": 1000000.0}
QWEN3 |= {"sliding_window": None}
SMOLLM3 = {"architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", **SIZES, "num_hidden_layers": 3, "hidden_act": "silu", "pad_token_id": 0}
SMOLLM3 |= {"no_rope_layers": [1, 0, 1], "no_rope_layer_interval": 2, "use_sliding_window": False, "sliding_window": None, "attention_bias": False}
GEMMA = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma", **SIZES, "head_dim": 16, "hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6}
GEMMA |= {"hidden_activation": "gelu_pytorch_tanh", "attention_bias": False, "tie_word_embeddings": True, "num_key_value_heads": 1, "pad_token_id": 0}
GEMMA2 = {**GEMMA, "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "num_hidden_layers": 3, "num_key_value_heads": 2}
GEMMA2 |= {"query_pre_attn_scalar": 24, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 5.0, "sliding_window": 8}
GEMMA3 = {**GEMMA, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "num_hidden_layers": 3, "num_key_value_heads": 2}
GEMMA3 |= {"query_pre_attn_scalar": 24, "attn_logit_softcapping": None, "final_logit_softcapping": None, "sliding_window": 8}
GEMMA3 |= {"sliding_window_pattern": 3, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": {"factor": 4.0, "rope_type": "linear"}}
GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_inner": 48,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "n_ctx": 64,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PHI3 = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", **SIZES, "hidden_act": "silu", "rope_scaling": None, "sliding_window": 8}
PHI3 |= {"original_max_position_embeddings": 128, "pad_token_id": 0}
GRANITE = {**LLAMA, "architectures": ["GraniteForCausalLM"], "model_type": "granite", "embedding_multiplier": 3.0, "attention_multiplier": 0.25}
GRANITE |= {"residual_multiplier": 0.6, "logits_scaling": 2.0, "tie_word_embeddings": True}
MISTRAL = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", **SIZES, "hidden_act": "silu", "sliding_window": 8}
OLMO2 = {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", **SIZES, "hidden_act": "silu", "attention_bias": False, "pad_token_id": 0}

LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}

CASES = {
    "llama: every head its own keys": {**LLAMA, "num_key_value_heads": 4},
    "llama: grouped queries": LLAMA,
    "llama: one head of keys": {**LLAMA, "num_key_value_heads": 1},
    "llama: theta 500000, three layers": {**LLAMA, "rope_theta": 500000.0, "num_hidden_layers": 3},
    "llama: rope scaling llama3": {**LLAMA, "rope_scaling": LLAMA3_SCALING},
    "llama: rope scaling linear": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama: rope scaling dynamic, past its length": {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 16},
    "llama: rope scaling yarn": {**LLAMA, "rope_scaling": YARN, "max_position_embeddings": 64},
    "llama: biases of attention": {**LLAMA, "attention_bias": True},
    "llama: biases of the feed-forward part": {**LLAMA, "mlp_bias": True},
    "llama: tied output": {**LLAMA, "tie_word_embeddings": True},
    "llama: heads wider than hidden size / heads": {**LLAMA, "head_dim": 16},
    "llama: the words of transformers 5": {
        **{key: value for key, value in LLAMA.items() if key not in ("rope_theta", "rope_scaling", "torch_dtype")},
        "rope_parameters": {"rope_theta": 500000.0, **LLAMA3_SCALING},
        "dtype": "float32",
    },
    "mistral: sliding window": MISTRAL,
    "mistral: no window, wide heads": {**MISTRAL, "sliding_window": None, "head_dim": 16},
    "qwen2": QWEN2,
    "qwen2: tied, a window from the second layer on": {**QWEN2, "tie_word_embeddings": True, "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": QWEN3,
    "qwen3: tied": {**QWEN3, "tie_word_embeddings": True},
    "smollm3: a layer without positions": SMOLLM3,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3": GEMMA3,
    "gpt2": GPT2,
    "phi3": PHI3,
    "phi3: rotating a part of each head": {**PHI3, "partial_rotary_factor": 0.5, "sliding_window": None},
    "granite": GRANITE,
    "olmo2": OLMO2,
}


def element_range(name):
    """The middle of a tensor's elements, and how far they lie around it."""
    parts = name.split(".")
    if parts[-1] == "bias":
        return 0.0, 0.2
    before = parts[-2] if len(parts) > 1 else ""
    if parts[-1] == "weight" and ("norm" in before or before.startswith("ln_")):
        return 1.0, 0.2
    return 0.0, 0.4


def weights(name, shape):
    """A tensor by the formula that this file begins with."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    count = int(numpy.prod(shape))
    z = numpy.uint64(seed) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z = z ^ (z >> numpy.uint64(31))
    base, reach = element_range(name)
    values = base + reach * (2.0 * ((z >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53) - 1.0)
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


def published_names(model):
    """The tensors that a file of this model has: not those that are tied to another one."""
    tied = set(getattr(model, "all_tied_weights_keys", {}) or {})
    return [name for name in model.state_dict() if name not in tied]


def run(config):
    """The tensors' names and shapes, and the logits after the last three tokens."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(json.dumps(config), encoding="utf-8")
        read = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(read, attn_implementation="eager").to(torch.float32).eval()
    names = published_names(model)
    shapes = {name: list(model.state_dict()[name].shape) for name in names}
    missing, unexpected = model.load_state_dict({name: weights(name, shapes[name]) for name in names}, strict=False)
    model.tie_weights()
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    tokens = torch.tensor([[(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(LENGTH)]])
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0, -3:]
    return shapes, tokens[0].tolist(), logits.tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "decoders.json", help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = []
    for name, config in CASES.items():
        shapes, tokens, logits = run(config)
        cases.append(
            {"name": name, "config": config, "tensors": shapes, "logits": [[float(f"{value:.6g}") for value in row] for row in logits]}
        )
        print(f"{name}: {len(shapes)} tensors, largest logit {max(map(max, logits)):.4g}")
    head = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__}, "tokens": tokens}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    arguments.out.write_text(f'{json.dumps(head)[:-1]}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
