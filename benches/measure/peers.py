"""Starts the peers that are here."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from . import h2load, places
from .process import free_port
from .system import Absent, Stage, System
from .tls import Front

# How a peer that is not here is had.
GET = "not installed: get it with `python3 benches/peers/get.py {}`"
NGINX_GET = "not installed: optional, `apt-get install nginx-light`"
# What the names of rows say whose callers come by TLS.
WITH_TLS = " with TLS"
# Distributions have servers where users do not look for programs.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


# What says in Envoy's, HAProxy's and nginx's own words that callers come by TLS 1.3.
_ENVOY_TLS = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: ["h2"]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3 }}
            tls_certificates:
            - certificate_chain: {{ filename: "{cert}" }}
              private_key: {{ filename: "{key}" }}"""
_NGINX_TLS = "ssl_protocols TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};"


def envoy(stage: Stage, upstream: System, front: Optional[Front] = None) -> Union[System, Absent]:
    """Envoy in front of an upstream."""
    name = f"Envoy 1.40{told(front)}"
    program = places.peer("envoy")
    if not program:
        return Absent(name, GET.format("envoy"))
    tls = _ENVOY_TLS.format(**vars(front.certificate)) if front else ""
    config = filled("envoy.yaml", folder_of(stage, name), **_ports(port := free_port(), upstream), TLS=tls)
    options = ["--concurrency", places.CORES, "--disable-hot-restart", "--log-level", "error"]
    return _proxy(stage, name, "envoy", [program, "--config-path", config, *options], port, upstream, front)


def haproxy(stage: Stage, upstream: System, front: Optional[Front] = None) -> Union[System, Absent]:
    """HAProxy in front of an upstream."""
    program = shutil.which("haproxy", path=_PATH)
    if not program:
        return Absent(f"HAProxy{told(front)}", "not installed: optional, `apt-get install haproxy`")
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout.split()
    name = f"HAProxy {'.'.join(version[2].split('.')[:2]) if len(version) > 2 else ''}{told(front)}"
    callers = f"ssl crt {front.certificate.both} alpn h2 ssl-min-ver TLSv1.3 ciphersuites {h2load.TLS[1]}" if front else "proto h2"
    config = filled("haproxy.cfg", folder_of(stage, name), **_ports(port := free_port(), upstream), THREADS=places.CORES, CALLERS=callers)
    return _proxy(stage, name, "haproxy", [program, "-f", config, "-db"], port, upstream, front)


def nginx(stage: Stage, upstream: System, front: Optional[Front] = None) -> Union[System, Absent]:
    """nginx in front of an upstream."""
    program = nginx_program()
    if not program:
        return Absent(f"nginx{told(front)}", NGINX_GET)
    name = f"{nginx_name(program)}{told(front)}"
    callers, tls = (" ssl", _NGINX_TLS.format(**vars(front.certificate))) if front else ("", "")
    command = nginx_command(program, "nginx-h2c.conf", folder_of(stage, name), **_ports(port := free_port(), upstream), CALLERS=callers, TLS=tls)
    return _proxy(stage, name, "nginx", command, port, upstream, front)


def told(front: Optional[Front]) -> str:
    """What follows a proxy's name in that of its row."""
    return f"{WITH_TLS if front else ''} -> upstream"


def nginx_program() -> Optional[str]:
    """Where nginx is; None when it is not installed."""
    return shutil.which("nginx", path=_PATH)


def nginx_name(program: str) -> str:
    """Its name with its version."""
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.rpartition("/")[2].split(".")
    return f"nginx {'.'.join(version[:2])}"


def nginx_command(program: str, servers: str, folder: Path, **values: object) -> List[object]:
    """How nginx is started with servers of one of our templates."""
    # Its workers would be nobody otherwise, who may not read the folder.
    user = f"user {pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name};" if os.getuid() == 0 else ""
    included = filled(servers, folder, FOLDER=folder, **values)
    return [program, "-c", filled("nginx.conf", folder, FOLDER=folder, THREADS=places.CORES, USER=user, SERVERS=included), "-e", "stderr"]


def _ports(port: int, upstream: System) -> Dict[str, object]:
    return {"LISTEN_PORT": port, "UPSTREAM_PORT": upstream.address.rpartition(":")[2]}


def _proxy(stage: Stage, name: str, role: str, command: Sequence[object], port: int, upstream: System, front: Optional[Front]) -> System:
    process = stage.start(f"{role}-tls" if front else role, command)
    return System(name, {role: process, **upstream.processes}, f"127.0.0.1:{port}", ask=front.ask if front else None, is_peer=True)


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


def folder_of(stage: Stage, name: str) -> Path:
    """A folder of its own for one that is started in a stage."""
    folder = stage.folder / "-".join(re.findall(r"[\w.]+", name))
    folder.mkdir()
    return folder


def filled(template: str, folder: Path, **values: object) -> Path:
    """The template with every @WORD@ filled in, written to the folder."""
    text = (places.PEERS / template).read_text()
    for word, value in values.items():
        text = text.replace(f"@{word}@", str(value))
    path = folder / Path(template).name
    path.write_text(text)
    return path
