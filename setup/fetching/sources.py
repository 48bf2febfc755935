"""Brings an item's files into a tree, from one source or another, and checks every one of them."""

from __future__ import annotations

import os
import shutil
from typing import Dict, List

from . import pip_index, wheel
from .catalogue import Item, Source
from .errors import BAD_DATA, UNAVAILABLE, FetchError, RangesRefused
from .progress import Progress
from .store import Store, sha256_of
from .web import Web

HUB = "https://huggingface.co"


def bring(item: Item, source: Source, store: Store, progress: Progress) -> str:
    """Downloads and unpacks `item`; answers the finished tree, which is not yet in place.

    When a check fails, all that was downloaded is thrown away, so that the next run does not meet it again.
    """
    try:
        tree = store.fresh_tree(item)
        hashes = {"pypi": _from_pypi, "hub": _from_hub}[source.kind](item, source, store, tree, progress)
        _check_pins(item, hashes)
    except FetchError as error:
        if error.code == BAD_DATA:
            store.discard(item)
        raise
    for path, target in item.links.items():
        os.symlink(target, os.path.join(tree, path))
    for path, text in item.texts.items():
        with open(os.path.join(tree, path), "w", encoding="utf-8") as handle:
            handle.write(text)
    return tree


def _from_pypi(item: Item, source: Source, store: Store, tree: str, progress: Progress) -> Dict[str, str]:
    pip = pip_index.settings()
    web = Web(pip.ca_file, pip.proxy)
    folder = store.downloads(item)
    hashes: Dict[str, str] = {}
    archives: List = []
    for one in source.wheels:
        try:
            url = pip_index.find(web, pip.indexes, one)
            archives.append(wheel.RangedWheel(web, url, one, folder, progress.add))
        except (RangesRefused, FetchError) as refusal:
            archives.append(_WholeWheel(one, folder, progress, str(refusal)))
    progress.expect(sum(archive.missing() for archive in archives))
    for one, archive in zip(source.wheels, archives):
        archive.download()
    progress.say("unpacking")
    for one, archive in zip(source.wheels, archives):
        with archive.open() as opened:
            hashes.update(wheel.extract(opened, one, tree))
    return hashes


class _WholeWheel:
    """A wheel that only pip itself can bring: the index answers no ranges, wants a login that pip has, or is a folder."""

    def __init__(self, one, folder: str, progress: Progress, why: str) -> None:
        self._wheel, self._folder, self._progress, self._why = one, folder, progress, why

    def missing(self) -> int:
        return 0

    def download(self) -> None:
        if not os.path.exists(self._path()):
            self._progress.say(f"downloading the whole of {self._wheel.file} with pip ({self._why})")
            pip_index.download_whole(self._wheel, self._folder)
            self._progress.add(os.path.getsize(self._path()))

    def open(self):
        return wheel.open_whole(self._path())

    def _path(self) -> str:
        return os.path.join(self._folder, self._wheel.file)


def _from_hub(item: Item, source: Source, store: Store, tree: str, progress: Progress) -> Dict[str, str]:
    web = Web()
    base = os.environ.get("HF_ENDPOINT") or HUB
    hashes = {}
    for path in item.files:
        url = f"{base.rstrip('/')}/{source.repository}/resolve/{source.revision}/{path}"
        part = os.path.join(store.downloads(item), path.replace("/", "--"))
        _one_file(web, url, part, progress)
        hashes[path] = sha256_of(part)
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        shutil.copyfile(part, os.path.join(tree, path))
    return hashes


def _one_file(web: Web, url: str, part: str, progress: Progress) -> None:
    try:
        size = web.size_by_range(url)
        have = os.path.getsize(part) if os.path.exists(part) else 0
        progress.expect(max(0, size - have))
        web.range_to_file(url, 0, size, part, progress.add)
    except RangesRefused:
        web.whole_to_file(url, part, progress.add)


def _check_pins(item: Item, hashes: Dict[str, str]) -> None:
    wrong = [path for path, want in item.files.items() if hashes.get(path) != want]
    if wrong:
        raise FetchError(
            BAD_DATA,
            f"{', '.join(wrong)}: the sha256 is not the one in the catalogue; nothing was installed",
            "run the same command again, it starts this download afresh; if it fails again, choose another --source",
        )


def choose(item: Item, wanted: str) -> List[Source]:
    """The sources to try, in order. Raises `FetchError` when the item has none of the wanted kind."""
    sources = [source for source in item.sources if wanted in ("auto", source.kind)]
    if not sources:
        kinds = ", ".join(source.kind for source in item.sources)
        raise FetchError(UNAVAILABLE, f"{item.name} cannot be had from {wanted}", f"use --source auto, or one of: {kinds}")
    return sources
