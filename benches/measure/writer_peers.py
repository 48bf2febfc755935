"""Starts the peers that write with the language model, where they are here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterator, Optional, Union

from . import batches, places, streams, writers
from .peers import GET
from .process import Process, free_port
from .system import Absent, Stage, System
from .writers import Writer

# A Python that has torch and transformers, instead of the fetched one.
TRANSFORMERS_PYTHON = "TORCHMESH_BENCH_TRANSFORMERS"
LLAMA_SERVER, LLAMA_NODE, VLLM = "llama.cpp's server, Q4_1", "llama.cpp in Node, Q4_1", "vLLM, bf16"
# Users at the same time at most, and the longest of their sequences.
_SEQUENCES, _TOKENS = 16, 512
_AS_PUBLISHED = "Q4_1"


def transformers_name(dtype: str) -> str:
    """The row of transformers."""
    return f"transformers generate, {dtype}"


def start(stage: Stage) -> Iterator[Union[Writer, Absent]]:
    """Everyone who is here; each is started when it is asked for."""
    for dtype in writers.dtypes():
        yield transformers(stage, dtype)
    for peer in (llama_server, llama_in_node, vllm):
        yield peer(stage)


def transformers(stage: Stage, dtype: str) -> Union[Writer, Absent]:
    """transformers' `generate` with a batch of all users."""
    name = transformers_name(dtype)
    python = _python()
    if not python:
        return Absent(name, f"{GET.format('transformers')}, or name a Python that has it: {TRANSFORMERS_PYTHON}")
    folder, reason = writers.exported()
    if reason:
        return Absent(name, reason)
    port = free_port()
    script = places.PEERS / "python" / "transformers_generate.py"
    options = ["--dtype", dtype, "--threads", places.CORES, "--port", port]
    process = stage.start(f"transformers-{dtype}", [python, script, folder, *options], {"HF_HUB_OFFLINE": "1"})
    return Writer(_system(name, process, port), batches.Door(f"127.0.0.1:{port}"), dtype)


def _python() -> Optional[Path]:
    named = os.environ.get(TRANSFORMERS_PYTHON)
    return Path(named).absolute() if named else places.peer("transformers")


def llama_server(stage: Stage) -> Union[Writer, Absent]:
    """llama.cpp's own server with the file as it was published."""
    program = shutil.which("llama-server")
    if not program:
        return Absent(LLAMA_SERVER, "not installed: optional, `llama-server` on the PATH")
    port = free_port()
    threads = ["--threads", places.CORES, "--threads-batch", places.CORES]
    room = ["--parallel", _SEQUENCES, "--ctx-size", _SEQUENCES * _TOKENS]
    where = ["--host", "127.0.0.1", "--port", port, "--alias", writers.MODEL]
    process = stage.start("llama-server", [program, "--model", writers.published(), *where, *threads, *room])
    return _streaming(LLAMA_SERVER, process, port, _AS_PUBLISHED)


def llama_in_node(stage: Stage) -> Union[Writer, Absent]:
    """llama.cpp's library in a server of a few lines, peers/node/llama_cpp.mjs, with the file as it was published."""
    node, modules = shutil.which("node"), places.peer("llama.cpp")
    if not modules:
        return Absent(LLAMA_NODE, GET.format("llama.cpp"))
    if not node:
        return Absent(LLAMA_NODE, "needs Node 20 on the PATH")
    port = free_port()
    script = places.PEERS / "node" / "llama_cpp.mjs"
    process = stage.start("llama-node", [node, script, modules, writers.published(), port, places.CORES, _SEQUENCES, _TOKENS])
    return _streaming(LLAMA_NODE, process, port, _AS_PUBLISHED)


def vllm(stage: Stage) -> Union[Writer, Absent]:
    """vLLM's own server."""
    program = shutil.which("vllm")
    if not program:
        return Absent(VLLM, "not installed: optional, `vllm` on the PATH")
    folder, reason = writers.exported()
    if reason:
        return Absent(VLLM, reason)
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", port, "--served-model-name", writers.MODEL, "--dtype", "bfloat16", "--max-model-len", 4096]
    return _streaming(VLLM, stage.start("vllm", [program, "serve", folder, *options], {"HF_HUB_OFFLINE": "1"}), port, "bf16")


def _streaming(name: str, process: Process, port: int, dtype: str) -> Writer:
    return Writer(_system(name, process, port), streams.Door(f"127.0.0.1:{port}", writers.MODEL), dtype)


def _system(name: str, process: Process, port: int) -> System:
    return System(name, {process.name: process}, f"127.0.0.1:{port}", is_peer=True)
