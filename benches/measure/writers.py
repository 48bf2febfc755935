"""Who writes with the language model: our mesh, with its weights held in each way, and what it is measured beside."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Protocol, Sequence, Tuple

from . import mesh as ours
from . import places, streams
from .load import LoadError
from .process import StartError
from .system import Stage, System
from .waves import Answer

MODEL = "SmolLM2-135M-Instruct"
DTYPES = ("fp32", "bf16")
# Tokens of the chunks that the worker reads long prompts in: its default, said here since the report counts with it.
CHUNK = 256
_MANIFEST = 'task = "generate"\ndtype = "{dtype}"\nintra_op_threads = {threads}\nstep_tokens = {chunk}\n'


class Door(Protocol):
    """How a writer is asked."""

    def wave(self, prompts: Sequence[Sequence[int]], new: int) -> List[Answer]:
        """Sends all prompts at the same moment, and answers with as many new tokens behind each."""


@dataclass
class Writer:
    """A system that goes on with tokens."""

    system: System
    door: Door
    # What its weights are held in; for a peer that takes the file as it was published, that.
    dtype: str

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.system.name

    @property
    def is_ours(self) -> bool:
        """Whether it is measured against the floor."""
        return not self.system.is_peer


def published() -> Path:
    """The model as it was published."""
    return places.cache() / "models" / MODEL / f"{MODEL}.Q4_1.gguf"


def missing() -> Optional[str]:
    """Why language models cannot be measured here; None when they can."""
    there = published().is_file()
    return ours.missing(*ours.SERVICES) or (None if there else f"no model {MODEL}: `python3 setup/fetch.py smollm2` fetches it")


def dtypes() -> List[str]:
    """What the weights are held in: single precision, and bf16 where the CPU multiplies it."""
    return [dtype for dtype in DTYPES if dtype == "fp32" or multiplies_bf16(Path("/proc/cpuinfo").read_text())]


def multiplies_bf16(cpuinfo: str) -> bool:
    """Whether a CPU has instructions for it."""
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def name_of(dtype: str) -> str:
    """The row of our mesh."""
    return f"gateway -> router -> worker, {dtype}"


def start(stage: Stage) -> Iterator[Writer]:
    """A mesh for each way to hold the weights; each is started when it is asked for."""
    for dtype in dtypes():
        mesh = ours.Mesh(_apart(stage, dtype))
        system = ours.whole(mesh, name_of(dtype), _repository(stage, dtype), [])
        header = Path(system.load[system.load.index("--header-file") + 1]).read_text()
        name, _, value = header.strip().partition(": ")
        yield Writer(system, streams.Door(system.address, MODEL, {name: value}), dtype)


def _apart(stage: Stage, part: str) -> Stage:
    """A part of a stage with a folder of its own, so that a second mesh can have processes of the same names."""
    folder = stage.folder / f"of-{part}"
    folder.mkdir()
    return Stage(folder, stage.cores, stage.cores_aside, stage.started)


def _repository(stage: Stage, dtype: str) -> Path:
    """A model repository with the model held in this way; its file is a link."""
    repository = stage.folder / f"models-{dtype}"
    version = repository / MODEL / "1"
    version.mkdir(parents=True)
    (repository / MODEL / "model.toml").write_text(_MANIFEST.format(dtype=dtype, threads=places.CORES, chunk=CHUNK))
    os.symlink(published(), version / "model.gguf")
    return repository


def wait_until_it_writes(writer: Writer, seconds: float = 180) -> None:
    """Waits for the first answer; raises when a process ends or it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            writer.door.wave([[300, 301, 302]], 2)
            return
        except (LoadError, OSError) as error:
            for process in writer.system.processes.values():
                process.check()
            if time.monotonic() > deadline:
                tails = "\n".join(f"  {process.name}:\n{process.tail()}" for process in writer.system.processes.values())
                raise StartError(f"{writer.name} does not answer: {error}\n{tails}") from error
        time.sleep(0.2)


@dataclass(frozen=True)
class Floor:
    """Steps of the model in a loop, with nothing around them."""

    # Of all sequences together.
    prompt_tokens_per_second: float
    tokens_per_second: float
    step_p50_ms: float

    def whole(self, prompt: int, new: int) -> float:
        """New tokens a second when reading the prompts counts, as it does for who waits for an answer."""
        return new / (prompt / self.prompt_tokens_per_second + new / self.tokens_per_second)


def floor(dtype: str, sequences: int, prompt: int, new: int) -> Floor:
    """Measures it in a process of its own, on all cores."""
    options = {"--model": published(), "--dtype": dtype, "--sequences": sequences, "--prompt": prompt, "--new": new, "--threads": places.CORES}
    command = [places.built("torchmesh-worker"), "bench-decode", "--output", "json", *(word for pair in options.items() for word in pair)]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"torchmesh-worker bench-decode ended with {done.returncode}:\n{done.stderr}")
    told: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return Floor(told["prompt_tokens_per_second"], told["tokens_per_second"], told["step_p50_ms"])


def exported() -> Tuple[Path, Optional[str]]:
    """The same weights as a folder that transformers reads, made the first time; and why there is none, or None."""
    folder = places.cache() / "bench" / MODEL
    if (folder / "config.json").is_file():
        return folder, None
    draft = folder.with_name(f"{MODEL}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    command = [places.built("torchmesh-worker"), "export-language", published(), "--out", draft]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return folder, f"torchmesh-worker export-language ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    draft.rename(folder)
    return folder, None
