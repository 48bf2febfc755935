"""Gets one item into place, doing only what is still to be done."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Dict, Optional

from . import given_torch
from .catalogue import Item
from .errors import UNAVAILABLE, FetchError
from .store import Store, link

if TYPE_CHECKING:
    from .progress import Progress


def fetch(item: Item, store: Store, home: str, source: str, verify: bool) -> Dict[str, object]:
    """Sees to it that `item` is in the cache and linked in `home`; answers what was done.

    `state` of the answer is `ready` (it was there), `fetched`, or `given` (a torch of the user's own is used).
    """
    at = os.path.join(home, item.home_link) if item.home_link else None
    given = given_torch.from_environment(item.version, at) if at else None
    if given and at:
        return _use_given(item, given, at)
    result = _result(item, store.place(item), at)
    if not store.is_ready(item, verify):
        _check_platform(item)
        with store.lock(item, lambda: _progress(item).say("another run is fetching it; waiting")):
            if not store.is_ready(item, verify):
                result.update(_bring(item, store, source))
    if at:
        link(store.place(item), at)
    return result


def _bring(item: Item, store: Store, wanted: str) -> Dict[str, object]:
    from . import sources

    progress = _progress(item)
    candidates = sources.choose(item, wanted)
    for position, source in enumerate(candidates):
        try:
            tree = sources.bring(item, source, store, progress)
        except FetchError as error:
            if position + 1 == len(candidates):
                raise
            progress.say(f"{source.kind} failed ({error.problem}); trying {candidates[position + 1].kind}")
        else:
            break
        finally:
            progress.clear()
    store.publish(item, tree, source.kind)
    return _fetched(progress, source.kind)


def _fetched(progress: Progress, kind: str) -> Dict[str, object]:
    from .progress import megabytes

    seconds = progress.seconds()
    note = f"fetched {megabytes(progress.bytes)} from {kind} in {seconds:.1f} s"
    return {"state": "fetched", "note": note, "source": kind, "bytes": progress.bytes, "seconds": round(seconds, 3)}


def _use_given(item: Item, given: given_torch.Given, at: str) -> Dict[str, object]:
    """Links the user's torch as `<at>/torch`, so that a later build without the setting uses the same one."""
    holder = f"{at}-given"
    link(given.folder, os.path.join(holder, "torch"))
    link(holder, at)
    result = _result(item, given.folder, at)
    result.update({"state": "given", "note": f"{given.setting} is set, so that torch is used and nothing downloaded"})
    return result


def _result(item: Item, path: str, at: Optional[str]) -> Dict[str, object]:
    return {
        "item": item.name,
        "version": item.version,
        "state": "ready",
        "note": "already there",
        "path": path,
        "link": at,
        "source": None,
        "bytes": 0,
        "seconds": 0.0,
    }


def _progress(item: Item) -> Progress:
    from .progress import Progress

    return Progress(f"{item.name} {item.version}")


def _check_platform(item: Item) -> None:
    here = f"{platform.system().lower()}-{platform.machine().lower().replace('amd64', 'x86_64')}"
    if item.platform and item.platform != here:
        raise FetchError(
            UNAVAILABLE,
            f"the catalogue has {item.name} for {item.platform} only, and this machine is {here}",
            f"get torch {item.version} yourself and set LIBTORCH to its folder, or LIBTORCH_USE_PYTORCH=1",
        )
