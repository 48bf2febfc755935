"""Starts the peers that serve the embedding model, where they are here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, Union

from . import encoders, places
from .dialects import MODEL, OPEN_INFERENCE, TEI, TORCHSERVE, Dialect
from .encoders import Served
from .peers import GET, filled
from .process import Process, free_port
from .system import Absent, Stage, System

TEI_NAME = "text-embeddings-inference, ONNX Runtime"
TORCHSERVE_NAME = "TorchServe 0.12"
MLSERVER_NAME = "MLServer 1.7"
TRITON_NAME = "Triton 2.51, Python backend"
# The text-embeddings-router of the peer, and the folder that it serves: the published one, with onnx/model.onnx.
TEI_PROGRAM, TEI_FOLDER = "TORCHMESH_BENCH_TEI", "TORCHMESH_BENCH_TEI_MODEL"

_ADAPTERS = places.PEERS / "python"


def start(stage: Stage) -> Iterator[Union[Served, Absent]]:
    """Everyone who is here; each is started when it is asked for."""
    return (peer(stage) for peer in (tei, torchserve, mlserver, triton))


def tei(stage: Stage) -> Union[Served, Absent]:
    """text-embeddings-inference, from where the environment says."""
    program, folder = os.environ.get(TEI_PROGRAM), os.environ.get(TEI_FOLDER)
    if not program or not folder:
        return Absent(TEI_NAME, f"not named: {TEI_PROGRAM} and {TEI_FOLDER}, see `benches/run.py --help`")
    port = free_port()
    options = {"model-id": Path(folder).absolute(), "hostname": "127.0.0.1", "port": port, "prometheus-port": free_port(), "pooling": "mean"}
    command = [Path(program).absolute(), *(word for key, value in options.items() for word in (f"--{key}", value))]
    return _served(TEI_NAME, stage.start("tei", command), port, TEI)


def torchserve(stage: Stage) -> Union[Served, Absent]:
    """TorchServe, its model archive made by its own archiver."""
    python = places.peer("python")
    if not python:
        return Absent(TORCHSERVE_NAME, GET.format("python"))
    if not shutil.which("java"):
        return Absent(TORCHSERVE_NAME, "needs Java 17 on the PATH")
    folder = _folder(stage, "torchserve")
    _archive(python, folder)
    ports = {name: free_port() for name in ("INFERENCE_PORT", "MANAGEMENT_PORT", "METRICS_PORT", "GRPC_PORT", "GRPC_MANAGEMENT_PORT")}
    config = filled("torchserve.properties", folder, STORE=folder, **ports)
    options = ["--start", "--foreground", "--ncs", "--disable-token-auth", "--model-store", folder, "--ts-config", config]
    process = stage.start("torchserve", [python.parent / "torchserve", *options], {**_path(python), "TMPDIR": str(folder)})
    return _served(TORCHSERVE_NAME, process, ports["GRPC_PORT"], TORCHSERVE)


def _archive(python: Path, folder: Path) -> None:
    extra = ",".join(map(str, (encoders.exported() / "tokenizer.json", _ADAPTERS / "encoder.py")))
    options = {
        "model-name": MODEL,
        "version": "1.0",
        "serialized-file": encoders.exported() / "model.pt",
        "handler": _ADAPTERS / "torchserve_handler.py",
        "extra-files": extra,
        "export-path": folder,
    }
    command = [python.parent / "torch-model-archiver", *(word for key, value in options.items() for word in (f"--{key}", value))]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def mlserver(stage: Stage) -> Union[Served, Absent]:
    """MLServer in one process, with its adaptive batching."""
    python = places.peer("python")
    if not python:
        return Absent(MLSERVER_NAME, GET.format("python"))
    folder = _folder(stage, "mlserver")
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": free_port(), "grpc_port": port, "metrics_port": free_port(), "parallel_workers": 0, "debug": False}
    model = {"name": MODEL, "implementation": "mlserver_runtime.Runtime", "max_batch_size": encoders.MAX_BATCH, "max_batch_time": 0.001}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    process = stage.start("mlserver", [python.parent / "mlserver", "start", folder], _adapted(python))
    return _served(MLSERVER_NAME, process, port, OPEN_INFERENCE)


def triton(stage: Stage) -> Union[Served, Absent]:
    """Triton with the only backend that its wheel has, and its dynamic batcher."""
    program, python = places.peer("triton"), places.peer("python")
    if not program or not python:
        return Absent(TRITON_NAME, GET.format("triton python"))
    folder = _folder(stage, "triton")
    model = folder / "models" / MODEL
    (model / "1").mkdir(parents=True)
    filled("triton/minilm.pbtxt", model).rename(model / "config.pbtxt")
    shutil.copyfile(_ADAPTERS / "triton_model.py", model / "1" / "model.py")
    shutil.copyfile(_ADAPTERS / "encoder.py", model / "1" / "encoder.py")
    version, library_folder = _told_by(python)
    backend = _backend(program.parent.parent, version, folder)
    port = free_port()
    options = {
        "model-repository": model.parent,
        "backend-directory": backend.parent,
        "grpc-address": "127.0.0.1",
        "grpc-port": port,
        "metrics-address": "127.0.0.1",
        "metrics-port": free_port(),
        "allow-http": "false",
        "log-info": "false",
    }
    # That program is linked with its Python, and looks for libraries of the wheel beside its old place.
    libraries = f"{library_folder}:{program.parent.parent.parent.parent / 'nvidia_pytriton.libs'}"
    env = {**_adapted(python), "LD_LIBRARY_PATH": libraries}
    process = stage.start("triton", [program, *(f"--{key}={value}" for key, value in options.items())], env)
    return _served(TRITON_NAME, process, port, OPEN_INFERENCE)


def _backend(server: Path, version: str, folder: Path) -> Path:
    """The Python backend with the program in it that runs models in this version of Python."""
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    stub = backend / "triton_python_backend_stub"
    shutil.copyfile(server / "python_backend_stubs" / version / stub.name, stub)
    stub.chmod(0o755)
    return backend


def _told_by(python: Path) -> List[str]:
    """The version of a Python, and where its shared library is."""
    question = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_config_var('LIBDIR'))"
    return subprocess.run([str(python), "-c", question], capture_output=True, text=True, check=True).stdout.split()


def _adapted(python: Path) -> Dict[str, str]:
    """The environment in which a server finds our adapters, the packages and the model."""
    packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    return {**_path(python), "PYTHONPATH": f"{_ADAPTERS}:{packages}", "MINILM_FOLDER": str(encoders.exported())}


def _path(python: Path) -> Dict[str, str]:
    return {"PATH": f"{python.parent}:{os.environ.get('PATH', '')}"}


def _folder(stage: Stage, name: str) -> Path:
    folder = stage.folder / name
    folder.mkdir()
    return folder


def _served(name: str, process: Process, port: int, dialect: Dialect) -> Served:
    return Served(System(name, {process.name: process}, f"127.0.0.1:{port}", is_peer=True), dialect)
