"""Runs the loader against a system, and counts what it cost whom."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, Sequence, Union

from . import h2load, places
from .process import LoadError, StartError, pinned
from .procstat import Meter
from .system import Absent, Sample, System


def run(system: System, arguments: Sequence[object]) -> Dict[str, Any]:
    """One run of the loader against a system; answers its report."""
    command = [places.built("torchmesh-loader"), "--address", system.address, *system.load, *arguments]
    words, pin = [str(word) for word in command], pinned(system.loader_cores)
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=pin)
    if done.returncode != 0:
        raise LoadError(done.stderr.strip() or f"the loader ended with {done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ready(row: Union[System, Absent]) -> Union[System, Absent]:
    """The row, once it answers."""
    if isinstance(row, System):
        try:
            wait_until_it_answers(row)
        except StartError as error:
            if not row.is_peer:
                raise
            return Absent(row.name, "does not run here: " + str(error).splitlines()[-1].strip())
    return row


def wait_until_it_answers(system: System, seconds: float = 120) -> None:
    """Waits for the first call without an error."""
    deadline = time.monotonic() + seconds
    while True:
        report = _first(system)
        if report["ok"] == 1:
            return
        for process in system.processes.values():
            process.check()
        if time.monotonic() > deadline:
            tails = "\n".join(f"  {process.name}:\n{process.tail()}" for process in system.processes.values())
            raise StartError(f"{system.name} does not answer: {report['errors']} {report['examples']}\n{tails}")
        time.sleep(0.1)


def _first(system: System) -> Dict[str, Any]:
    if system.ask:
        try:
            return h2load.once(system.address, system.ask)
        except LoadError as error:
            # It says nothing else of who cannot be reached.
            return {"ok": 0, "errors": {}, "examples": [str(error)]}
    return run(system, ["--requests", 1, "--seconds", 10, "--deadline-ms", 5000])


def answer(system: System, file: Path) -> bytes:
    """The message that the system answers one call with; the call must succeed."""
    report = run(system, ["--requests", 1, "--seconds", 60, "--answer-file", file])
    if report["ok"] != 1:
        raise LoadError(f"{system.name} fails a call: {report['errors']} {report['examples']}")
    return file.read_bytes()


def measure(system: System, callers: int, connections: int, seconds: float) -> Sample:
    """Loads a system for a while, after a short run that is not counted."""
    _load(system, callers, connections, min(0.5, seconds))
    meter = Meter(process.pid for process in (*system.processes.values(), *system.aside))
    report = _load(system, callers, connections, seconds)
    spent = meter.read()
    known = sum(spent.values()) + report["cpu_seconds"] * 1e6
    chunks = system.ask.chunks if system.ask else 1
    counted = max(1, report["requests"]) * chunks
    cpu = {role: spent[process.pid] / counted for role, process in system.processes.items()}
    return Sample(
        rps=report["rps"] * chunks,
        p50_ms=report["latency_ms"]["p50"],
        p99_ms=report["latency_ms"]["p99"],
        cpu_us={**cpu, "loader": report["cpu_us_per_request"] / chunks},
        others=meter.others(known) / (report["seconds"] * 1e6 * places.CORES),
        errors=report["errors"],
        example=next((f"{each['kind']}: {each['message']}" for each in report["examples"]), None),
    )


def _load(system: System, callers: int, connections: int, seconds: float) -> Dict[str, Any]:
    if system.ask:
        return h2load.run(system.address, system.ask, callers, connections, seconds)
    return run(system, ["--callers", callers, "--connections", min(connections, callers), "--seconds", seconds])
