"""What is measured: an address and the processes behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import AbstractSet, Dict, List, Optional, Sequence

from . import places
from .process import Process


@dataclass
class Ask:
    """What h2load sends over and over, to a system that our own loader does not reach."""

    path: str
    # The file with the body.
    body: Path
    headers: Sequence[str] = ()
    # TLS and HTTP/2; without it HTTP/2 or HTTP/1.1 in clear text.
    tls: bool = False
    http1: bool = False
    # The length of an answer that went well, where the status does not tell it from others; None where it does.
    answer_bytes: Optional[int] = None
    # Of an answer that is a stream: in how many chunks it comes, which are what is counted, and how long it takes.
    chunks: int = 1
    seconds: Optional[float] = None


@dataclass
class System:
    """A system under load."""

    # The name of its row.
    name: str
    # Role of each process that works for its answers, in the order of a request's way. The roles are the columns' names.
    processes: Dict[str, Process]
    address: str
    # What the loader is told besides the address, the callers and the time.
    load: Sequence[str] = ()
    # What h2load sends, where it takes the loader's place.
    ask: Optional[Ask] = None
    # What works for the answers too and is no part of the row's cost, such as an upstream that differs from row to row.
    aside: Sequence[Process] = ()
    # A peer that does not run here leaves its row empty; one of ours ends the measurement.
    is_peer: bool = False
    loader_cores: AbstractSet[int] = places.ALL_CORES
    # Where the metrics of the worker are that forms the batches; None where it is not one of ours.
    batches_at: Optional[str] = None


@dataclass
class Absent:
    """A row that cannot be measured here, and what to do about it."""

    name: str
    reason: str


@dataclass
class Sample:
    """One measurement of one system. Of streams, what is counted is their chunks, and latencies are whole streams'."""

    rps: float
    p50_ms: float
    p99_ms: float
    # Microseconds of CPU a request, by role; the loader's own under "loader".
    cpu_us: Dict[str, float]
    # The share of the machine, 0 to 1, that went to processes that have nothing to do with the measurement.
    others: float
    errors: Dict[str, int] = field(default_factory=dict)
    example: Optional[str] = None


@dataclass
class Stage:
    """What is up during a suite: everything that was started, to be stopped at its end."""

    folder: Path
    # The cores of what is measured, and of what only helps to measure it.
    cores: AbstractSet[int] = places.ALL_CORES
    cores_aside: AbstractSet[int] = places.ALL_CORES
    started: List[Process] = field(default_factory=list)

    def start(self, name: str, command: Sequence[object], env: Optional[Dict[str, str]] = None, *, aside: bool = False) -> Process:
        """Starts a process that ends with the stage."""
        process = Process(name, command, self.folder, env, self.cores_aside if aside else self.cores)
        self.started.append(process)
        return process
