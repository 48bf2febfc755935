"""Loads with nghttp2's h2load where our own loader cannot: over TLS, and over HTTP/1.1."""

from __future__ import annotations

import math
import re
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import places
from .process import LoadError, pinned
from .system import Ask

# What every server is to agree on: the cheapest cipher where AES is in the processor, and the first that h2load offers.
TLS = ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
# Beyond the time that a run is meant to take.
_PATIENCE_SECONDS = 60
_REQUESTS = re.compile(r"^requests: (\d+) total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", re.MULTILINE)
_DATA = re.compile(r"^traffic: .*\((\d+)\) data$", re.MULTILINE)
_FINISHED = re.compile(r"^finished in ([\d.]+)(us|ms|s),", re.MULTILINE)
_TLS = re.compile(r"^TLS Protocol: (\S+)\nCipher: (\S+)$", re.MULTILINE)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def missing() -> Optional[str]:
    """Why nothing can be loaded with it; None when it can."""
    return None if shutil.which("h2load") else "h2load is not installed: `apt-get install nghttp2-client`"


def run(address: str, ask: Ask, callers: int, connections: int, seconds: float) -> Dict[str, Any]:
    """Loads a server for so long and answers a report as our own loader's."""
    return _run(address, ask, amount(ask, callers, connections, seconds), seconds)


def once(address: str, ask: Ask) -> Dict[str, Any]:
    """One request."""
    return _run(address, ask, ["-n", "1", "-c", "1", "-m", "1", "-t", "1"], 1)


def amount(ask: Ask, callers: int, connections: int, seconds: float) -> List[str]:
    """How much it sends, and over how many connections: by HTTP/1.1 each caller has one of its own.

    Streams are counted, so that each of them comes to its end within the run.
    """
    clients = callers if ask.http1 else min(connections, callers)
    length = ["-n", str(callers * max(1, round(seconds / ask.seconds)))] if ask.seconds else ["-D", f"{seconds * 1000:.0f}ms"]
    return ["-c", str(clients), "-m", str(math.ceil(callers / clients)), "-t", str(min(clients, places.CORES)), *length]


def _run(address: str, ask: Ask, much: Sequence[str], seconds: float) -> Dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        # h2load takes headers among its arguments only. The key in them is this run's own, and opens nothing but a gateway that ends with it.
        headers = [word for header in ask.headers for word in ("-H", header)]
        url = f"{'https' if ask.tls else 'http'}://{address}{ask.path}"
        words = ["h2load", *much, *(["--h1"] if ask.http1 else []), *headers, "-d", str(ask.body), f"--log-file={log}", url]
        before = _children_seconds()
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=seconds + _PATIENCE_SECONDS, preexec_fn=pinned(places.ALL_CORES)
            )
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"h2load did not end within {error.timeout:.0f} s") from error
        if done.returncode != 0:
            raise LoadError(done.stderr.strip() or f"h2load ended with {done.returncode}")
        return report(done.stdout, log.read_text() if log.exists() else "", ask, _children_seconds() - before)


def _children_seconds() -> float:
    # Of children that have ended: between two readings, h2load alone.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(told: str, log: str, ask: Ask, cpu_seconds: float) -> Dict[str, Any]:
    """What h2load printed and what it noted of each request, in the form of our own loader's report."""
    counts, data, finished = _REQUESTS.search(told), _DATA.search(told), _FINISHED.search(told)
    if not (counts and data and finished):
        raise LoadError(f"h2load said something else than its counts: {told[-300:]}")
    _, done, _, errored, timeout = map(int, counts.groups())
    requests = max(1, done)
    seconds = float(finished[1]) * _UNITS[finished[2]]
    answered, errors = _outcomes(log, errored + timeout)
    silent = _without_a_message(len(answered), int(data[1]), ask)
    if silent:
        errors["without a whole answer"] = silent
    spoken = _TLS.search(told)
    if ask.tls and spoken and spoken.groups() != TLS:
        errors[f"by {' with '.join(spoken.groups())}"] = done
    ok = max(0, len(answered) - silent)
    return {
        "requests": done,
        "ok": ok,
        "errors": errors,
        "examples": [{"kind": kind, "message": f"{count} requests"} for kind, count in errors.items()],
        "seconds": seconds,
        "rps": ok / seconds,
        "latency_ms": {"p50": quantile(answered, 0.50), "p99": quantile(answered, 0.99)},
        "cpu_seconds": cpu_seconds,
        "cpu_us_per_request": cpu_seconds * 1e6 / requests,
        "answer_bytes": int(data[1]) / requests,
    }


def _outcomes(log: str, broken: int) -> Tuple[List[float], Dict[str, int]]:
    """The latencies in ms of the requests that were answered with a status of success, in rising order, and the others by what became of them."""
    answered, errors = [], {"broken": broken} if broken else {}
    for line in log.splitlines():
        _, status, micros = line.split("\t")[:3]
        if 200 <= int(status) < 300:
            answered.append(int(micros) / 1000)
        elif int(status) > 0:
            errors[f"status {status}"] = errors.get(f"status {status}", 0) + 1
    return sorted(answered), errors


def _without_a_message(answered: int, data: int, ask: Ask) -> int:
    """How many answers lack what they should hold: an error in gRPC, or within a stream, has a status of success, and fewer bytes."""
    return max(0, answered - data // ask.answer_bytes) if ask.answer_bytes else 0


def quantile(rising: Sequence[float], share: float) -> float:
    """The value that a share of them does not exceed; 0 of none."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else 0.0
