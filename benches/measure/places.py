"""Where things are, and what of them is here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BENCHES = ROOT / "benches"
PEERS = BENCHES / "peers"
ALL_CORES = frozenset(os.sched_getaffinity(0))
CORES = len(ALL_CORES)
# Where a suite that gives every system one core has the systems, and what loads them: apart, where there are two cores.
ONE_CORE = frozenset({min(ALL_CORES)})
OTHER_CORES = ALL_CORES - ONE_CORE or ALL_CORES

sys.path.insert(0, str(PEERS))
import get as peer_store  # noqa: E402  (a script beside its data, not a package)


def built(name: str) -> Path:
    """The program `name` of this workspace, built or not."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute() / "release" / name


def mesh_home() -> Path:
    """Where `make setup` puts the demo models."""
    return Path(os.environ.get("TORCHMESH_HOME") or ROOT / ".torchmesh").absolute()


def cache() -> Path:
    """Where what was fetched is."""
    return peer_store.cache()


def peer(name: str) -> Path | None:
    """A fetched peer's program."""
    return peer_store.program(name)
