"""Where fetched things lie, and how they get there whole or not at all.

An item is built in `<cache>/partial/` and renamed into place; its marker is written before the rename, so a folder that
has a marker is complete, whenever the power went or the process was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from typing import Callable, Dict, Iterator

from .catalogue import Item
from .errors import CANNOT_WRITE, FetchError

MARKER = ".installed.json"


def default_cache() -> str:
    """`TORCHMESH_CACHE`, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("TORCHMESH_CACHE") or os.path.join(base, "torchmesh")


def default_home() -> str:
    """`TORCHMESH_HOME`, or `.torchmesh` of the working directory."""
    return os.environ.get("TORCHMESH_HOME") or ".torchmesh"


class Store:
    """The cache folder: finished items at their own places, unfinished ones under `partial/`."""

    def __init__(self, cache: str) -> None:
        self._cache = os.path.abspath(cache)

    def place(self, item: Item) -> str:
        """Where the finished item lies."""
        return os.path.join(self._cache, item.folder)

    def downloads(self, item: Item) -> str:
        """Where pieces of the item wait, possibly from an earlier run. Made when it is not there."""
        return _made(os.path.join(self._partial(item), "downloads"))

    def fresh_tree(self, item: Item) -> str:
        """An empty folder to build the item in; what an interrupted run left there is thrown away."""
        tree = os.path.join(self._partial(item), "tree")
        shutil.rmtree(tree, ignore_errors=True)
        return _made(tree)

    def discard(self, item: Item) -> None:
        """Throws away everything unfinished."""
        shutil.rmtree(self._partial(item), ignore_errors=True)

    def is_ready(self, item: Item, verify: bool = False) -> bool:
        """Whether the item is complete: the marker is this catalogue's, and each file has its size.

        With `verify`, the pinned files are read and their sha256 compared as well.
        """
        place = self.place(item)
        try:
            with open(os.path.join(place, MARKER), encoding="utf-8") as handle:
                marker = json.load(handle)
            if marker["fingerprint"] != item.fingerprint:
                return False
            if any(os.stat(f"{place}/{path}").st_size != size for path, size in marker["files"].items()):
                return False
            return not verify or all(sha256_of(os.path.join(place, path)) == want for path, want in item.files.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def publish(self, item: Item, tree: str, source: str) -> None:
        """Puts the finished `tree` in place, in one step as others see it."""
        marker = {
            "item": item.name,
            "version": item.version,
            "source": source,
            "fingerprint": item.fingerprint,
            "files": _sizes(tree),
        }
        with open(os.path.join(tree, MARKER), "w", encoding="utf-8") as handle:
            json.dump(marker, handle)
            handle.flush()
            os.fsync(handle.fileno())
        place = self.place(item)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            old = os.path.join(self._partial(item), "old")
            shutil.rmtree(old, ignore_errors=True)
            os.rename(place, old)
        os.rename(tree, place)
        self.discard(item)

    @contextmanager
    def lock(self, item: Item, on_wait: Callable[[], None]) -> Iterator[None]:
        """Held by one process at a time, and let go by the system when that process dies."""
        path = os.path.join(_made(os.path.join(self._cache, "locks")), _flat(item) + ".lock")
        with open(path, "a", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _partial(self, item: Item) -> str:
        return os.path.join(self._cache, "partial", _flat(item))


def link(target: str, at: str) -> bool:
    """Makes `at` a symbolic link to `target`, replacing a link in one step. Answers whether anything changed."""
    if os.path.islink(at) and os.readlink(at) == target:
        return False
    if os.path.lexists(at) and not os.path.islink(at):
        raise FetchError(CANNOT_WRITE, f"{at} is in the way: it is not a link", "move it away and run this again")
    os.makedirs(os.path.dirname(at), exist_ok=True)
    fresh = f"{at}.{os.getpid()}"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(target, fresh)
    os.replace(fresh, at)
    return True


def sha256_of(path: str) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for chunk in iter(lambda: handle.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _sizes(tree: str) -> Dict[str, int]:
    sizes = {}
    for folder, _, files in os.walk(tree):
        for file in files:
            path = os.path.join(folder, file)
            sizes[os.path.relpath(path, tree)] = os.stat(path).st_size
    return sizes


def _flat(item: Item) -> str:
    return item.folder.replace("/", "--")


def _made(folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    return folder
