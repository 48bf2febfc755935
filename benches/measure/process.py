"""Processes that a measurement starts, and that end with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import AbstractSet, Callable, Dict, List, Optional, Sequence

from . import places

# Above the drain of our services with nothing in flight, and above Triton's exit.
_STOP_SECONDS = 15


class StartError(Exception):
    """Why a system could not be started."""


class LoadError(Exception):
    """A loader itself failed."""


class Process:
    """One running process, with what it starts itself; its output goes to a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        folder: Path,
        env: Optional[Dict[str, str]] = None,
        cores: AbstractSet[int] = places.ALL_CORES,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            # A group of its own: Ctrl-C reaches only the measurement, which stops everything in order.
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_clean_environment(), **(env or {})},
                start_new_session=True,
                cwd=folder,
                preexec_fn=pinned(cores),
            )
        self.pid = self._child.pid

    def check(self) -> None:
        """Raises when the process has ended."""
        code = self._child.poll()
        if code is not None:
            raise StartError(f"{self.name} ended with {code}:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the output."""
        return "\n".join("    " + line for line in self.log.read_text(errors="replace").splitlines()[-12:])

    def announced(self, file: Path, seconds: float = 120) -> Dict[str, str]:
        """The addresses that a service of ours writes to `file` once it listens."""
        self.wait_for(file.exists, seconds, "say its addresses")
        return dict(json.loads(file.read_text())["addresses"])

    def wait_for(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits until `done` answers true; raises when the process ends before or takes too long."""
        deadline = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} did not {what} within {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough; to everything that the process has started, too."""
        if self._child.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass


def pinned(cores: AbstractSet[int]) -> Callable[[], None]:
    """What a child runs first to stay on these cores, with every thread and process that it starts."""
    return lambda: os.sched_setaffinity(0, cores)


def stop_all(processes: List[Process]) -> None:
    """Stops processes, the last started first."""
    for process in reversed(processes):
        process.stop()


def free_port() -> int:
    """A port that nobody listens on now, for programs that cannot say which port they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _clean_environment() -> Dict[str, str]:
    """Settings of a mesh that somebody has exported must not change what is measured."""
    ours = ("TORCHMESH_GATEWAY_", "TORCHMESH_ROUTER_", "TORCHMESH_WORKER_", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
