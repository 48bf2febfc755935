"""Starts our own services: alone in front of the trivial upstream, and all together."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from . import places
from .process import Process, StartError, pinned
from .system import Stage, System
from .tls import Certificate

_NOOP_MANIFEST = """\
task = "tensor"

[[inputs]]
name = "INPUT0"
datatype = "FP32"
shape = [-1, 256]

[[outputs]]
name = "OUTPUT0"
datatype = "FP32"
shape = [-1, 256]
"""

# Every kind of limit, for a tenant and for a model.
_LIMITS = """\
[[limit]]
per = "tenant"
requests = "1G/1m"
tokens = "100G/1m"
concurrent = 4096

[[limit]]
per = "model"
requests = "1G/1m"

[[limit]]
per = "tenant"
budget = "1000000000.00/month"

[[price]]
model = "noop"
input_per_million_tokens = "0.15"
"""

# A canary, whose tenants stay with it; exceptions, of which none fits; another name; and models that would answer if this one were out. No shadow, which would be a
# second call, and no cache, which would be none.
_ROUTES = """\
[[route]]
model = "noop"
to = [{ version = "1", weight = 90 }, { weight = 10 }]
sticky = "tenant"
except = [{ header = "x-canary", value = "yes", version = "1" }, { tenant = "careful", version = "1" }]
fallback = ["large", "other"]
resume = true

[[route]]
model = "small"
to = [{ model = "noop" }]
"""

SERVICES = ("gateway", "router", "worker")


def missing(*services: str) -> Optional[str]:
    """Why these services cannot be started; None when they can."""
    for service in services:
        if not places.built(f"torchmesh-{service}").is_file():
            return f"not built: `cargo build --release -p torchmesh-{service}`"
    return None


@dataclass
class Service:
    """A running service and where it listens."""

    process: Process
    address: str
    # Where its metrics are; None for the trivial upstream.
    admin: Optional[str] = None


class Mesh:
    """Starts services in a stage, with metrics on and spans exported to a sink."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sink: Optional[str] = None

    def upstream(self, name: str = "upstream", *, aside: bool = False) -> Service:
        """A trivial upstream; `aside` when it is no part of what is measured."""
        process = self._stage.start(name, [places.built("torchmesh-echo")], aside=aside)
        process.wait_for(lambda: "listening on" in process.log.read_text(), 10, "listen")
        return Service(process, process.log.read_text().split()[-1])

    def gateway(
        self,
        name: str,
        router: str,
        tenants: Sequence[str] = ("bench",),
        *,
        every_policy: bool = False,
        certificate: Optional[Certificate] = None,
    ) -> Tuple[Service, List[List[str]]]:
        """A gateway whose router is at `router`, and what the loader must say to be let in as each of the tenants.

        `every_policy`: with limits that are counted and never reached, and with usage and audit written to the disk before an answer ends.
        `certificate`: its callers come by TLS, and are shown this.
        """
        folder = self._folder(name)
        keys = [_key(folder, tenant) for tenant in tenants]
        (folder / "keys.toml").write_text("".join(entry for entry, _ in keys))
        settings = {"keys_file": folder / "keys.toml", "discovery.file": _listing(folder, "router", router)}
        if every_policy:
            (folder / "limits.toml").write_text(_LIMITS)
            settings |= {"limits_file": folder / "limits.toml", "metering.folder": folder / "metering"}
        if certificate:
            settings |= {"tls.cert": certificate.cert, "tls.key": certificate.key}
        return self._start("gateway", name, settings), [let_in for _, let_in in keys]

    def router(self, name: str, worker: str, *, every_policy: bool = False) -> Service:
        """A router whose worker is at `worker`. `every_policy`: with routes that say all that routes can say of a call that is made once."""
        folder = self._folder(name)
        settings: Dict[str, object] = {"discovery.file": _listing(folder, "worker", worker)}
        if every_policy:
            (folder / "routes.toml").write_text(_ROUTES)
            settings["routes_file"] = folder / "routes.toml"
        return self._start("router", name, settings)

    def worker(self, name: str, models: Path) -> Service:
        """A worker with the models in a folder."""
        return self._start("worker", name, {"models_dir": models})

    def noop_models(self) -> Path:
        """A model repository with the no-op model."""
        models = self._folder("models")
        version = models / "noop" / "1"
        if not version.is_dir():
            version.mkdir(parents=True)
            (models / "noop" / "model.toml").write_text(_NOOP_MANIFEST)
            command = [places.built("torchmesh-worker"), "export-noop", "--out", version / "model.pt"]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise StartError(f"torchmesh-worker export-noop ended with {done.returncode}:\n{done.stderr}")
        return models

    def _start(self, service: str, name: str, settings: Dict[str, object]) -> Service:
        # Tracing is on, as in a real deployment: what it costs belongs to the figures. Only the log is quieter.
        self._sink = self._sink or self.upstream("trace-sink", aside=True).address
        telemetry = {"telemetry.otlp_endpoint": f"http://{self._sink}", "telemetry.log": "warn"}
        addresses = {"addr": "127.0.0.1:0", "admin_addr": "127.0.0.1:0"}
        flags = [word for key, value in {**addresses, **telemetry, **settings}.items() for word in ("--set", f"{key}={value}")]
        announce = self._stage.folder / f"{name}.json"
        process = self._stage.start(name, [places.built(f"torchmesh-{service}"), "--announce", announce, *flags])
        addresses = process.announced(announce)
        return Service(process, addresses["main"], addresses["admin"])

    def _folder(self, name: str) -> Path:
        folder = self._stage.folder / name
        folder.mkdir(exist_ok=True)
        return folder


def worker_alone(mesh: Mesh, name: str, models: Path, load: Sequence[str]) -> System:
    """The row of a worker without gateway and router."""
    worker = mesh.worker(f"{models.name}-alone", models)
    return System(name, {"worker": worker.process}, worker.address, load, batches_at=worker.admin)


def whole(mesh: Mesh, name: str, models: Path, load: Sequence[str]) -> System:
    """The row of a gateway and a router in front of a worker of their own."""
    worker = mesh.worker("worker", models)
    router = mesh.router("router", worker.address)
    gateway, (let_in,) = mesh.gateway("gateway", router.address)
    roles = {"gateway": gateway.process, "router": router.process, "worker": worker.process}
    return System(name, roles, gateway.address, [*load, *let_in], batches_at=worker.admin)


def _key(folder: Path, tenant: str) -> Tuple[str, List[str]]:
    """A new key: the gateway's entry for it, and what the loader must say."""
    key = "tm_bench_" + secrets.token_hex(24)
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    header = folder / f"header-{tenant}"
    header.touch(mode=0o600)
    header.write_text(f"authorization: Bearer {key}\n")
    return f'[[key]]\nname = "{tenant}"\ntenant = "{tenant}"\nsha256 = "{sha256}"\n', ["--header-file", str(header)]


def _listing(folder: Path, service: str, address: str) -> Path:
    path = folder / "discovery.toml"
    path.write_text(f'[[instance]]\nservice = "{service}"\nid = "{service}-1"\naddress = "{address}"\n')
    return path


def bench_floor(model: Path, dtype: str, batch: int, lengths: Sequence[int], seconds: float) -> float:
    """Sentences a second of forward passes in a loop, on one thread of one process on a core of its own, without any server."""
    sequence = ",".join(map(str, lengths))
    options = {"--model": model, "--dtype": dtype, "--batch": batch, "--sequence": sequence, "--seconds": max(1, round(seconds))}
    command = [places.built("torchmesh-worker"), "bench-floor", "--output", "json", *(word for pair in options.items() for word in pair)]
    words, pin = [str(word) for word in command], pinned(places.ONE_CORE)
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=pin)
    if done.returncode != 0:
        raise StartError(f"torchmesh-worker bench-floor ended with {done.returncode}:\n{done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1])["sentences_per_second"])
