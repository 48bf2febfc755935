"""Starts the peers that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Union

from . import places
from .process import free_port
from .system import Absent, Stage, System

# How a peer that is not here is had.
GET = "not installed: get it with `python3 benches/peers/get.py {}`"


def envoy(stage: Stage, upstream: System) -> Union[System, Absent]:
    """Envoy in front of an upstream."""
    name = "Envoy 1.40 -> upstream"
    program = places.peer("envoy")
    if not program:
        return Absent(name, GET.format("envoy"))
    port = free_port()
    config = filled("envoy.yaml", stage.folder, LISTEN_PORT=port, UPSTREAM_PORT=upstream.address.rpartition(":")[2])
    options = ["--concurrency", places.CORES, "--disable-hot-restart", "--log-level", "error"]
    process = stage.start("envoy", [program, "--config-path", config, *options])
    return System(name, {"envoy": process, **upstream.processes}, f"127.0.0.1:{port}", is_peer=True)


def haproxy(stage: Stage, upstream: System) -> Union[System, Absent]:
    """HAProxy in front of an upstream."""
    program = shutil.which("haproxy")
    if not program:
        return Absent("HAProxy -> upstream", "not installed: optional, `apt-get install haproxy`")
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout.split()
    name = f"HAProxy {'.'.join(version[2].split('.')[:2]) if len(version) > 2 else ''} -> upstream"
    port, upstream_port = free_port(), upstream.address.rpartition(":")[2]
    config = filled("haproxy.cfg", stage.folder, LISTEN_PORT=port, UPSTREAM_PORT=upstream_port, THREADS=places.CORES)
    process = stage.start("haproxy", [program, "-f", config, "-db"])
    return System(name, {"haproxy": process, **upstream.processes}, f"127.0.0.1:{port}", is_peer=True)


def nginx(stage: Stage, upstream: System) -> Union[System, Absent]:
    """nginx in front of an upstream."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not program:
        return Absent("nginx -> upstream", "not installed: optional, `apt-get install nginx-light`")
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.rpartition("/")[2].split(".")
    port, upstream_port = free_port(), upstream.address.rpartition(":")[2]
    values = {"LISTEN_PORT": port, "UPSTREAM_PORT": upstream_port, "THREADS": places.CORES, "FOLDER": stage.folder}
    process = stage.start("nginx", [program, "-c", filled("nginx.conf", stage.folder, **values), "-e", "stderr"])
    return System(f"nginx {'.'.join(version[:2])} -> upstream", {"nginx": process, **upstream.processes}, f"127.0.0.1:{port}", is_peer=True)


def triton(stage: Stage, *, batching: bool) -> Union[System, Absent]:
    """Triton with the identity model in C: with its dynamic batcher, or without any, which is the cheapest that it can be."""
    name = f"Triton 2.51, {'dynamic batching' if batching else 'no batching'}"
    program = places.peer("triton")
    if not program:
        return Absent(name, GET.format("triton"))
    folder = stage.folder / ("triton-batching" if batching else "triton")
    backend = _compiled_backend(folder)
    if isinstance(backend, Absent):
        return Absent(name, backend.reason)
    model = folder / "models" / "noop"
    (model / "1").mkdir(parents=True)
    batching_fields, dims = ("max_batch_size: 64\ndynamic_batching { }", "256") if batching else ("max_batch_size: 0", "-1, 256")
    config = filled("triton/config.pbtxt", folder, BATCHING=batching_fields, DIMS=dims)
    config.rename(model / "config.pbtxt")
    port = free_port()
    # Metrics stay on, as in our services; the front doors that nobody uses are shut.
    options = {
        "model-repository": folder / "models",
        "backend-directory": backend,
        "grpc-address": "127.0.0.1",
        "grpc-port": port,
        "metrics-address": "127.0.0.1",
        "metrics-port": free_port(),
        "allow-http": "false",
        "log-info": "false",
    }
    process = stage.start(folder.name, [program, *(f"--{key}={value}" for key, value in options.items())])
    return System(name, {"triton": process}, f"127.0.0.1:{port}", is_peer=True)


def _compiled_backend(folder: Path) -> Union[Path, Absent]:
    compiler = next((found for found in map(shutil.which, ("cc", "gcc", "clang")) if found), None)
    if not compiler:
        return Absent("", "no C compiler for its no-op model")
    backends = folder / "backends"
    (backends / "noop").mkdir(parents=True)
    source, library = places.PEERS / "triton" / "identity_backend.c", backends / "noop" / "libtriton_noop.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return backends


def filled(template: str, folder: Path, **values: object) -> Path:
    """The template with every @WORD@ filled in, written to the folder."""
    text = (places.PEERS / template).read_text()
    for word, value in values.items():
        text = text.replace(f"@{word}@", str(value))
    path = folder / Path(template).name
    path.write_text(text)
    return path
