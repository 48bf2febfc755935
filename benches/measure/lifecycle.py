"""Suite "lifecycle": models are loaded and unloaded again and again while another one answers; what stays of their memory?"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from . import encoders, load, places
from . import mesh as ours
from .dialects import MODEL
from .procstat import resident_mb
from .rounds import say
from .system import Stage, System

# Cycles that the report shows.
SHOWN = (1, 2, 5, 10, 25, 50, 75, 100)
# Calls a second to the model that stays, and how long each may take.
RATE, DEADLINE_MS = 200, 2000
# How far resident memory may have risen between the tenth cycle and the last: less than one of the models, whatever the number of cycles.
NOISE_MB = 10
_SERVICE = "/inference.GRPCInferenceService/"


@dataclass
class Cycled:
    """Resident memory of the worker in MB: before the first load, and in each cycle with the model and without it."""

    model: str
    before: float
    loaded: List[float] = field(default_factory=list)
    unloaded: List[float] = field(default_factory=list)

    @property
    def grown(self) -> float:
        """From the tenth cycle, when every pool is filled, to the last."""
        return self.unloaded[-1] - self.unloaded[min(9, len(self.unloaded) - 1)]


@dataclass
class Lives:
    """What the suite found."""

    models: List[Cycled]
    # The loader's report of the calls to the model that stayed.
    others: Dict[str, Any]


def missing() -> Optional[str]:
    """Why this suite cannot run here; None when it can."""
    return encoders.missing()


def run(stage: Stage, cycles: int) -> Lives:
    """Starts a worker with a model that stays, and has the others come and go."""
    mesh = ours.Mesh(stage)
    models = mesh.noop_models()
    (models / "traced").symlink_to(places.mesh_home() / "models" / MODEL)
    (models / "published").symlink_to(encoders.published())
    worker = mesh.worker("worker", models)
    load.wait_until_it_answers(System("worker", {"worker": worker.process}, worker.address))
    lives = Worker(worker, stage.folder)
    for model in ("traced", "published"):
        lives.ask("RepositoryModelUnload", model)
    with Traffic(worker.address) as traffic:
        cycled = [lives.cycle(model, cycles) for model in ("traced", "published")]
    say("")
    return Lives(cycled, traffic.report)


class Worker:
    """A worker whose models are loaded and unloaded by calls."""

    def __init__(self, service: ours.Service, folder: Path) -> None:
        self._service = service
        self._folder = folder

    def cycle(self, model: str, cycles: int) -> Cycled:
        """Loads and unloads a model so many times."""
        cycled = Cycled(model, self._settled())
        for number in range(cycles):
            say(f"{model}, {number + 1} of {cycles}")
            self.ask("RepositoryModelLoad", model)
            cycled.loaded.append(self._settled())
            self.ask("RepositoryModelUnload", model)
            cycled.unloaded.append(self._settled())
        return cycled

    def ask(self, method: str, model: str) -> None:
        """Calls a method that takes a model's name."""
        body = self._folder / "call"
        # Field 2, a text.
        body.write_bytes(bytes((2 << 3 | 2, len(model))) + model.encode())
        once = ["--path", _SERVICE + method, "--body-file", body, "--requests", 1, "--seconds", 120]
        report = load.run(System(model, {}, self._service.address), once)
        if report["ok"] != 1:
            raise load.LoadError(f"{method} of {model} failed: {report['examples']}")

    def _settled(self) -> float:
        """Resident memory once it does not fall any more: an engine ends on its own thread, after the call that unloads it."""
        last, deadline = resident_mb(self._service.process.pid), time.monotonic() + 5
        while time.monotonic() < deadline:
            time.sleep(0.05)
            now = resident_mb(self._service.process.pid)
            if now > last - 0.5:
                return now
            last = now
        return last


class Traffic:
    """Calls to the model that stays, for as long as the block lasts."""

    def __init__(self, address: str) -> None:
        load_of = ["--rate", RATE, "--callers", 1000, "--connections", 4, "--deadline-ms", DEADLINE_MS, "--until-stopped"]
        self._command = [places.built("torchmesh-loader"), "--address", address, *load_of]
        self.report: Dict[str, Any] = {}

    def __enter__(self) -> "Traffic":
        self._loader = subprocess.Popen([str(word) for word in self._command], stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._loader.send_signal(signal.SIGTERM)
        out, _ = self._loader.communicate(timeout=60)
        self.report = dict(json.loads(out.splitlines()[-1]))


def lines(lives: Lives) -> List[str]:
    """The whole suite, told."""
    text = [f"LIFECYCLE: a worker's resident memory in MB while {RATE} calls a second go to another of its models"]
    for cycled in lives.models:
        text += ["", *_table(cycled), _verdict(cycled)]
    failed, ok = sum(lives.others["errors"].values()), lives.others["ok"]
    p50, p99 = (lives.others["latency_ms"][quantile] for quantile in ("p50", "p99"))
    told = f"{failed} CALLS FAILED: {lives.others['errors']}" if failed else "none failed"
    return [*text, "", f"calls to the other model meanwhile: {ok:,} answered, {told}; p50 {p50:.1f} ms, p99 {p99:.1f} ms"]


def _table(cycled: Cycled) -> List[str]:
    shown = [number for number in SHOWN if number <= len(cycled.unloaded)]
    rows = [["after so many cycles", "0", *(str(number) for number in shown)]]
    rows.append([f"{cycled.model}, loaded", "", *_at(cycled.loaded, shown)])
    rows.append([f"{cycled.model}, unloaded", f"{cycled.before:.1f}", *_at(cycled.unloaded, shown)])
    width = max(len(cell) for row in rows for cell in row[1:])
    return ["  ".join([row[0].ljust(22), *(cell.rjust(width) for cell in row[1:])]) for row in rows]


def _at(series: Sequence[float], cycles: Sequence[int]) -> List[str]:
    return [f"{series[number - 1]:.1f}" for number in cycles]


def _verdict(cycled: Cycled) -> str:
    freed = cycled.loaded[-1] - cycled.unloaded[-1]
    kept = "given back" if cycled.grown <= NOISE_MB else "KEPT"
    return f"an unload gives back {freed:.1f} MB; from the 10th cycle to the last: {cycled.grown:+.1f} MB: {kept}"
