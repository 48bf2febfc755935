"""Packages of Debian, by apt's own configuration: where its archive is, and whose signatures are believed. Nothing is installed in the system."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from typing import List

from .errors import UNAVAILABLE, FetchError


def unpack(package: str, suite: str, folder: str) -> str:
    """Downloads `package` of Debian's `suite`, which need not be that of this machine, and unpacks it; answers the folder of its files."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FetchError(UNAVAILABLE, f"{package} comes from Debian's archive, and this machine has no apt", f"install {package}; it is found on PATH")
    options = _own_state(suite, folder)
    _run(["apt-get", *options, "update", "--quiet"], folder)
    _run(["apt-get", *options, "download", "--quiet", package], folder)
    found = glob.glob(os.path.join(folder, f"{package}_*.deb"))
    if not found:
        raise FetchError(UNAVAILABLE, f"apt brought no {package}", f"install {package}; it is found on PATH")
    tree = os.path.join(folder, "tree")
    _run(["dpkg-deb", "--extract", found[0], tree], folder)
    return tree


def _own_state(suite: str, folder: str) -> List[str]:
    """Options that make apt use lists and a cache of our own, so that neither root nor a change of the system is needed."""
    for name in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    sources = os.path.join(folder, "sources.list")
    with open(sources, "w", encoding="utf-8") as handle:
        handle.write(f"deb {_archive()} {suite} main\n")
    return [
        "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
        "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", "APT::Get::List-Cleanup=false", "-o", "Acquire::Languages=none",
    ]  # fmt: skip


def _archive() -> str:
    """The address of the archive that this machine's own packages come from. Security updates and other people's archives have no old suites."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN)", "Created-By: Packages"]
    answer = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sites = [line.split()[0] for line in answer.stdout.splitlines() if line.split()[1:] == ["Debian"] and "security" not in line]
    if not sites:
        raise FetchError(UNAVAILABLE, "apt knows no archive of Debian", "install the package yourself; it is found on PATH")
    return sites[0]


def _run(command: List[str], folder: str) -> None:
    answer = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FetchError(UNAVAILABLE, f"{' '.join(command[:1] + command[-2:])}: {said}", "check apt's sources and the network")
