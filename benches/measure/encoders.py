"""Who serves the embedding model: our worker with each of its engines, and the whole mesh."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from . import mesh as ours
from . import places
from .dialects import MODEL, TORCHMESH, Dialect
from .system import Stage, System

TORCHSCRIPT = "worker, TorchScript"
NATIVE = "worker, native fp32"
NATIVE_BF16 = "worker, native bf16"
MESH = "gateway -> router -> worker, native fp32"
# The worker's own limit when nothing else is set: more callers than this share batches of this size.
MAX_BATCH = 32


@dataclass(frozen=True)
class Engine:
    """A way of the worker to run the model."""

    key: str
    # What `bench-floor` loads, and what its weights are held in.
    artefact: Path
    dtype: str
    manifest: str


@dataclass
class Served:
    """A server that answers with vectors."""

    system: System
    dialect: Dialect
    # Of ours: what its floor is taken with.
    engine: Optional[Engine] = None

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.system.name

    def asked(self, bodies: Sequence[Path]) -> System:
        """The system as it is asked for these encoded texts in turn."""
        files = [word for body in bodies for word in ("--body-file", str(body))]
        return replace(self.system, load=[*self.system.load, "--path", self.dialect.path, *files], loader_cores=places.OTHER_CORES)


def published() -> Path:
    """The model as it was published."""
    return places.cache() / "models" / "all-MiniLM-L6-v2"


def exported() -> Path:
    """The folder with the model as TorchScript, and its tokenizer."""
    return places.mesh_home() / "models" / MODEL / "1"


def missing() -> Optional[str]:
    """Why the model cannot be measured here; None when it can."""
    there = (exported() / "model.pt").is_file() and (published() / "model.safetensors").is_file()
    return ours.missing(*ours.SERVICES) or (None if there else f"no model {MODEL}: run `make setup`")


def engines() -> List[Engine]:
    """TorchScript, and the worker's own kernels in single precision and in bf16."""
    basics = 'task = "embed"\nmax_tokens = 256\npooling = "mean"\n'
    weights = published() / "model.safetensors"
    return [
        Engine("TorchScript", exported() / "model.pt", "auto", basics + 'engine = "torchscript"\n'),
        Engine("native fp32", weights, "fp32", basics + 'engine = "native"\ndtype = "fp32"\n'),
        Engine("native bf16", weights, "bf16", basics + 'engine = "native"\ndtype = "bf16"\n'),
    ]


def start(stage: Stage) -> Iterator[Served]:
    """A worker for each engine, and a mesh around one of its own; each is started when it is asked for."""
    mesh = ours.Mesh(stage)
    torchscript, native, bf16 = engines()
    alone = [(TORCHSCRIPT, torchscript), (NATIVE, native), (NATIVE_BF16, bf16)]
    for name, engine in alone:
        yield Served(ours.worker_alone(mesh, name, _repository(stage, engine), []), TORCHMESH, engine)
    yield Served(ours.whole(mesh, MESH, _repository(stage, native), []), TORCHMESH, native)


def _repository(stage: Stage, engine: Engine) -> Path:
    """A model repository in which this engine runs the model; its files are links."""
    repository = stage.folder / engine.key.replace(" ", "-")
    version = repository / MODEL / "1"
    if not version.is_dir():
        version.mkdir(parents=True)
        (repository / MODEL / "model.toml").write_text(engine.manifest)
        for file in engine.artefact.parent.iterdir():
            os.symlink(file, version / file.name)
    return repository
