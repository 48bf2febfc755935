"""Brings an item's files into a tree, from one source or another, and checks every one of them."""

from __future__ import annotations

import os
import shutil
import zipfile
from typing import Dict, List, Union

from . import debian, npm_registry, pip_index, wheel
from .catalogue import Item, Source, Wheel
from .errors import BAD_DATA, UNAVAILABLE, FetchError, RangesRefused, Refused
from .progress import Progress
from .store import Store, sha256_of
from .web import Web

HUB = "https://huggingface.co"


def choose(item: Item, wanted: str) -> List[Source]:
    """The sources to try, in order. Raises `FetchError` when the item has none of the wanted kind."""
    sources = [source for source in item.sources if wanted in ("auto", source.kind)]
    if not sources:
        kinds = ", ".join(source.kind for source in item.sources)
        raise FetchError(UNAVAILABLE, f"{item.name} cannot be had from {wanted}", f"use --source auto, or one of: {kinds}")
    return sources


def bring(item: Item, source: Source, store: Store, progress: Progress) -> str:
    """Downloads and unpacks `item`; answers the finished tree, which is not yet in place.

    When a check fails, all that was downloaded is thrown away, so that the next run does not meet it again.
    """
    tree = store.fresh_tree(item)
    try:
        if source.kind == "hub":
            hashes = _from_hub(item, source, store.downloads(item), tree, progress)
        elif source.kind == "npm":
            hashes = _from_npm(item, source, store.downloads(item), tree, progress)
        elif source.kind == "debian":
            hashes = _from_debian(source, store.downloads(item), tree, progress)
        else:
            hashes = _from_pypi(source, store.downloads(item), tree, progress)
        _check_pins(item, hashes)
    except FetchError as error:
        if error.code == BAD_DATA:
            store.discard(item)
        raise
    for path in item.files:
        # Archives of packages do not always keep it.
        if path.startswith("bin/"):
            os.chmod(os.path.join(tree, path), 0o755)
    for path, target in item.links.items():
        os.symlink(target, os.path.join(tree, path))
    for path, text in item.texts.items():
        with open(os.path.join(tree, path), "w", encoding="utf-8") as handle:
            handle.write(text)
    return tree


class _WholeWheel:
    """A wheel that only pip itself can bring: there are no ranges, or a login that pip has, or the index is a folder."""

    def __init__(self, one: Wheel, folder: str, progress: Progress, why: Exception) -> None:
        self._wheel, self._progress, self._why = one, progress, why
        self._path = os.path.join(folder, one.file, "whole")

    def missing(self) -> int:
        return 0

    def download(self) -> None:
        if not os.path.exists(self._path):
            self._progress.say(f"downloading the whole of {self._wheel.file} with pip ({self._why})")
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            pip_index.download_whole(self._wheel, self._path)
            self._progress.add(os.path.getsize(self._path))

    def open(self) -> zipfile.ZipFile:
        return wheel.open_whole(self._path)


def _from_pypi(source: Source, folder: str, tree: str, progress: Progress) -> Dict[str, str]:
    pip = pip_index.settings()
    web = Web(pip.ca_file, pip.proxy)
    archives: List[Union[wheel.RangedWheel, _WholeWheel]] = []
    for one in source.wheels:
        try:
            archives.append(wheel.RangedWheel(web, pip_index.find(web, pip.indexes, one), one, folder, progress.add))
        except (RangesRefused, Refused) as why:
            archives.append(_WholeWheel(one, folder, progress, why))
    progress.expect(sum(archive.missing() for archive in archives))
    for place, one in enumerate(source.wheels):
        try:
            archives[place].download()
        except (RangesRefused, Refused) as why:
            archives[place] = _WholeWheel(one, folder, progress, why)
            archives[place].download()
    hashes: Dict[str, str] = {}
    progress.show("unpacking")
    for one, archive in zip(source.wheels, archives):
        with archive.open() as opened:
            hashes.update(wheel.extract(opened, one, tree))
    return hashes


def _from_npm(item: Item, source: Source, folder: str, tree: str, progress: Progress) -> Dict[str, str]:
    """What the catalogue takes out of the package's archive; without that, the archive as it is, under the name of the item's only file."""
    address = npm_registry.address(source.package, item.version)
    if not source.take:
        (path,) = item.files
        return _from_urls({path: address}, folder, tree, progress)
    parts = _download({"package.tgz": address}, folder, progress)
    progress.show("unpacking")
    return npm_registry.extract(parts["package.tgz"], source.take, tree)


def _from_debian(source: Source, folder: str, tree: str, progress: Progress) -> Dict[str, str]:
    progress.say(f"downloading {source.package} with apt")
    unpacked = debian.unpack(source.package, source.suite, folder)
    hashes: Dict[str, str] = {}
    for member, path in source.take.items():
        target = os.path.join(tree, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.join(unpacked, member), target)
        hashes[path] = sha256_of(target)
    return hashes


def _from_hub(item: Item, source: Source, folder: str, tree: str, progress: Progress) -> Dict[str, str]:
    base = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    urls = {path: f"{base}/{source.repository}/resolve/{source.revision}/{path}" for path in item.files}
    return _from_urls(urls, folder, tree, progress)


def _from_urls(urls: Dict[str, str], folder: str, tree: str, progress: Progress) -> Dict[str, str]:
    hashes = {}
    for path, part in _download(urls, folder, progress).items():
        hashes[path] = sha256_of(part)
        target = os.path.join(tree, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(part, target)
    return hashes


def _download(urls: Dict[str, str], folder: str, progress: Progress) -> Dict[str, str]:
    """Brings each address into a file of its own in `folder`, going on where an earlier run stopped; answers the files by the same names."""
    web = Web()
    parts = {path: os.path.join(folder, path.replace("/", "--")) for path in urls}
    sizes = {path: _size_or_none(web, url) for path, url in urls.items()}
    progress.expect(sum(max(0, (size or 0) - wheel.size_of(parts[path])) for path, size in sizes.items()))
    for path, size in sizes.items():
        if size is None:
            web.whole_to_file(urls[path], parts[path], progress.add)
        else:
            web.range_to_file(urls[path], 0, size, parts[path], progress.add)
    return parts


def _size_or_none(web: Web, url: str) -> Union[int, None]:
    """None from a server that answers no ranges; such a file cannot be resumed."""
    try:
        return web.size_by_range(url)
    except RangesRefused:
        return None


def _check_pins(item: Item, hashes: Dict[str, str]) -> None:
    wrong = [path for path, want in item.files.items() if hashes.get(path) != want]
    if wrong:
        raise FetchError(
            BAD_DATA,
            f"{', '.join(wrong)}: the sha256 is not the one in the catalogue; nothing was installed",
            "run the same command again, it starts this download afresh; if it fails again, choose another --source",
        )
