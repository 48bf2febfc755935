#!/usr/bin/env python3
"""What a GPU gives: language models and encoders on our engine, beside transformers on the same GPU in the same run.

Needs a GPU, a Python with torch and transformers, and the programs torchmesh-worker and torchmesh-loader, built. The models have published shapes and random
weights, made here: speed asks nothing of what weights say.

    python3 benches/gpu.py                                      everything but the largest model
    python3 benches/gpu.py --models llama-8b --parts decode     one model, without a server around it
    python3 benches/gpu.py --tokenizer FOLDER                   serves the language models too, with this folder's tokenizer.json

The floor of a step is the time that the GPU needs to read the weights once, at the speed at which a large product of one row reads them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import wire

# Shapes of SmolLM2-135M, Llama 3.2 1B and Llama 3.1 8B.
WRITERS: Dict[str, Dict[str, Any]] = {
    "smollm2-135m": dict(hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, intermediate_size=1536, vocab_size=49152),
    "llama-1b": dict(hidden_size=2048, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, intermediate_size=8192, vocab_size=128256),
    "llama-8b": dict(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, intermediate_size=14336, vocab_size=128256),
}
# Shapes of all-MiniLM-L6-v2 and of BERT base.
ENCODERS: Dict[str, Dict[str, Any]] = {
    "minilm-l6": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
}
PROMPT, NEW = 128, 128
USERS = (1, 16, 64, 256)
# (rows, their lengths in turn)
BATCHES = ((1, [32]), (32, [32]), (256, [32]), (256, [16, 48, 32, 128, 24, 96, 64, 40]))

figures: List[Dict[str, Any]] = []


def main() -> None:
    options = _options()
    for part in options.parts:
        {"decode": decode, "serve": serve, "encode": encode}[part](options)
    if options.json:
        Path(options.json).write_text(json.dumps({"gpu": torch.cuda.get_device_name(0), "torch": torch.__version__, "figures": figures}, indent=1))


def say(what: str, **figure: Any) -> None:
    figures.append({"what": what, **figure})
    numbers = ", ".join(f"{name.replace('_', ' ')} {value:,.3f}" if isinstance(value, float) else f"{name} {value}" for name, value in figure.items())
    print(f"{what}: {numbers}", flush=True)


def median_ms(work: Callable[[], Any], times: int = 30, warm: int = 5) -> float:
    taken = []
    for number in range(warm + times):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken[warm:])


def read_speed() -> float:
    """Bytes a second, of the weights of a product of one row."""
    weights = torch.randn(131072, 8192, device="cuda", dtype=torch.bfloat16)
    row = torch.randn(1, 8192, device="cuda", dtype=torch.bfloat16)
    return weights.numel() * 2 / median_ms(lambda: torch.nn.functional.linear(row, weights)) * 1e3


def made(options: argparse.Namespace, name: str) -> Path:
    """The folder of a language model with random weights."""
    folder = options.folder / name / "1"
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        tied = name != "llama-8b"
        config = transformers.LlamaConfig(**WRITERS[name], tie_word_embeddings=tied, max_position_embeddings=8192)
        torch.manual_seed(1)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            model = transformers.LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
        model.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
        if options.tokenizer:
            for file in Path(options.tokenizer).iterdir():
                shutil.copy(file, folder / file.name)
    return folder


def decode(options: argparse.Namespace) -> None:
    """Steps in a loop, ours and transformers'."""
    speed = read_speed()
    torch.cuda.empty_cache()
    say("the GPU reads weights", terabytes_per_second=speed / 1e12)
    for name in options.models:
        folder = made(options, name)
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        users = [count for count in USERS if count <= options.users]
        began = time.perf_counter()
        ours = _worker(options, "bench-decode", model=folder, prompt=PROMPT, new=NEW, sequences=",".join(map(str, users)), dtype="bf16")
        say(f"{name}, ours, everything", seconds=time.perf_counter() - began)
        floor = size / speed * 1e3
        for line in ours:
            rates = {key: line[key] for key in ("tokens_per_second", "prompt_tokens_per_second")}
            say(f"{name}, ours, {line['sequences']} users", step_ms=line["step_p50_ms"], floor_ms=floor, over_floor=line["step_p50_ms"] / floor, **rates)
        if options.peers:
            _generate(name, folder, [count for count in users if count != 16])


def _generate(name: str, folder: Path, users: List[int]) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    for count in users:
        ids = torch.randint(0, 40000, (count, PROMPT), device="cuda")
        settings = dict(attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, eos_token_id=None)

        def seconds(new: int) -> float:
            torch.cuda.synchronize()
            began = time.perf_counter()
            with torch.inference_mode():
                model.generate(ids, max_new_tokens=new, **settings)
            torch.cuda.synchronize()
            return time.perf_counter() - began

        seconds(2)
        first, all_of_them = seconds(1), seconds(NEW // 4)
        step = (all_of_them - first) / (NEW // 4 - 1)
        say(f"{name}, transformers, {count} users", step_ms=step * 1e3, tokens_per_second=count / step)
    del model
    torch.cuda.empty_cache()


def serve(options: argparse.Namespace) -> None:
    """Whole answers over gRPC from a worker of ours: prompts that no cache knows, and so many new tokens behind each."""
    if not options.tokenizer:
        print("nothing is served: --tokenizer names no folder")
        return
    for name in options.models:
        folder = made(options, name)
        (folder.parent / "model.toml").write_text('task = "generate"\ndtype = "bf16"\ncache = "16GiB"\nmax_running = 256\nstep_tokens = 8192\n')
        with tempfile.TemporaryDirectory() as scratch:
            bodies = [file for number in range(1024) for file in ("--body-file", str(_body(Path(scratch), name, number)))]
            for address in _serving(options, options.folder, name, Path(scratch)):
                for count in [count for count in USERS if count <= options.users]:
                    command = [options.loader, "--address", address, "--callers", count, "--connections", min(count, 8), "--seconds", options.seconds, *bodies]
                    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
                    if done.returncode:
                        sys.exit(f"torchmesh-loader: {done.stderr}")
                    report = json.loads(done.stdout.splitlines()[-1])
                    say(f"{name}, served, {count} users", tokens_per_second=report["rps"] * NEW, p50_ms=report["latency_ms"]["p50"], errors=report["errors"])


def _body(scratch: Path, model: str, number: int) -> Path:
    text = " ".join(f"{(number * 7919 + word * 104729) % 9973}" for word in range(PROMPT // 4))
    parameters = [("max_tokens", wire.field(2, NEW)), ("ignore_eos", wire.field(1, 1)), ("temperature", wire.field(3, "0"))]
    message = wire.field(1, model)
    for key, value in parameters:
        message += wire.field(4, wire.field(1, key) + wire.field(2, value))
    message += wire.field(5, wire.field(1, "text_input") + wire.field(2, "BYTES") + wire.field(3, b"\x01"))
    message += wire.field(7, len(text).to_bytes(4, "little") + text.encode())
    file = scratch / f"body-{number}"
    file.write_bytes(message)
    return file


def _serving(options: argparse.Namespace, models: Path, name: str, scratch: Path) -> Iterator[str]:
    """The address of a worker with the models of a folder, while it is used."""
    announce, alone = scratch / "announce.json", scratch / "models"
    alone.mkdir()
    (alone / name).symlink_to(models / name)
    settings = {"models_dir": alone, "addr": "127.0.0.1:0", "admin_addr": "127.0.0.1:0", "telemetry.log": "warn"}
    command = [options.worker, "--announce", announce, *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]
    log = scratch / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out)
    try:
        until = time.monotonic() + 240
        while not _ready(announce):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"the worker does not serve:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield _addresses(announce)["main"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        print(log.read_text()[-1500:])


def _addresses(announce: Path) -> Dict[str, str]:
    return json.loads(announce.read_text())["addresses"]


def _ready(announce: Path) -> bool:
    try:
        return announce.is_file() and urllib.request.urlopen(f"http://{_addresses(announce)['admin']}/ready", timeout=2).status == 200
    except (OSError, ValueError):
        return False


def encode(options: argparse.Namespace) -> None:
    """Forwards of encoders in a loop, ours and transformers'."""
    for name in options.encoders:
        folder = options.folder / name
        model = transformers.BertModel(transformers.BertConfig(**ENCODERS[name]))
        model.save_pretrained(folder)
        for dtype, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            theirs = transformers.BertModel.from_pretrained(folder, dtype=kind).to("cuda").eval()
            for rows, lengths in BATCHES:
                sequence = ",".join(map(str, lengths))
                (ours,) = _worker(options, "bench-floor", model=folder / "model.safetensors", dtype=dtype, batch=rows, sequence=sequence, seconds=1)
                say(f"{name} {dtype}, ours, {rows} rows of {sequence}", forward_ms=ours["forward_p50_ms"], rows_per_second=ours["sentences_per_second"])
                if options.peers:
                    taken = _forward_ms(theirs, rows, lengths)
                    say(f"{name} {dtype}, transformers, {rows} rows of {sequence}", forward_ms=taken, rows_per_second=rows / taken * 1e3)


def _forward_ms(model: Any, rows: int, lengths: List[int]) -> float:
    """From numbers on the processor to numbers on the processor, as a server has it."""
    longest = max(lengths)
    ids = torch.randint(1, 30000, (rows, longest))
    mask = torch.tensor([[int(place < lengths[row % len(lengths)]) for place in range(longest)] for row in range(rows)])

    def work() -> None:
        with torch.inference_mode():
            model(input_ids=ids.to("cuda"), attention_mask=mask.to("cuda")).last_hidden_state.float().cpu()

    return median_ms(work)


def _worker(options: argparse.Namespace, command: str, **arguments: Any) -> List[Dict[str, Any]]:
    words = [str(options.worker), command, "--output", "json"]
    for name, value in arguments.items():
        words += [f"--{name}", str(value)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"torchmesh-worker {command} ended with {done.returncode}: {done.stderr[-1500:]}")
    log = [line for line in done.stderr.splitlines() if "WARN" in line or "ERROR" in line]
    if log:
        print("\n".join(log[-5:]))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programs = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[1] / "target")) / "release"
    parser.add_argument("--worker", type=Path, default=programs / "torchmesh-worker")
    parser.add_argument("--loader", type=Path, default=programs / "torchmesh-loader")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "torchmesh-gpu", help="where the models are made; default %(default)s")
    parser.add_argument("--tokenizer", help="a folder with the tokenizer.json of a model of at least 49,152 tokens")
    parser.add_argument("--models", nargs="+", choices=list(WRITERS), default=["smollm2-135m", "llama-1b"])
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--parts", nargs="+", choices=["decode", "serve", "encode"], default=["decode", "serve", "encode"])
    parser.add_argument("--users", type=int, default=256, help="at most; default %(default)s")
    parser.add_argument("--seconds", type=float, default=8, help="that each number of users is served; default %(default)s")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="ours alone")
    parser.add_argument("--json", help="writes the figures there too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
