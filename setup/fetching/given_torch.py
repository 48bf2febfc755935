"""A libtorch that the user already has: `LIBTORCH` or `LIBTORCH_USE_PYTORCH` in the environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Optional

from .errors import WRONG_SETTING, FetchError

_FIND = "import importlib.util as u; s = u.find_spec('torch'); print(list(s.submodule_search_locations)[0] if s else '')"


@dataclass(frozen=True)
class Given:
    """A torch folder of the user's, and the setting that names it."""

    folder: str
    setting: str


def from_environment(version: str, own_link: str) -> Optional[Given]:
    """The torch folder that the environment asks for, checked to be `version`; None when it asks for none.

    A `LIBTORCH` that points into `own_link` is our own download and asks for nothing.
    """
    # torch-sys looks only at whether this is set, so `LIBTORCH_USE_PYTORCH=0` counts as well.
    if "LIBTORCH_USE_PYTORCH" in os.environ:
        folder, setting = _python_torch(version), "LIBTORCH_USE_PYTORCH"
    elif os.environ.get("LIBTORCH"):
        folder, setting = os.path.abspath(os.path.expanduser(os.environ["LIBTORCH"])), "LIBTORCH"
        if folder == own_link or folder.startswith(os.path.join(own_link, "")):
            return None
    else:
        return None
    _check(folder, setting, version)
    return Given(folder, setting)


def _python_torch(version: str) -> str:
    import subprocess

    python = "python" if os.environ.get("VIRTUAL_ENV") else "python3"
    try:
        done = subprocess.run([python, "-c", _FIND], capture_output=True, text=True, check=False)
        folder = done.stdout.strip()
    except OSError:
        folder = ""
    if not folder:
        raise FetchError(
            WRONG_SETTING,
            f"LIBTORCH_USE_PYTORCH is set, but `{python}` has no torch",
            f"`{python} -m pip install torch=={version}`, or unset LIBTORCH_USE_PYTORCH to have libtorch downloaded",
        )
    return folder


def _check(folder: str, setting: str, version: str) -> None:
    remedy = f"let it name a torch {version} folder, or unset {setting} to have libtorch downloaded"
    for need in ("lib", "include"):
        if not os.path.isdir(os.path.join(folder, need)):
            raise FetchError(WRONG_SETTING, f"{setting}: {folder} is not a torch folder (it has no {need}/)", remedy)
    found = _version_of(folder)
    if found is None:
        raise FetchError(WRONG_SETTING, f"{setting}: {folder} does not say its version (no build-version file)", remedy)
    if found.split("+")[0] != version:
        raise FetchError(WRONG_SETTING, f"{setting}: {folder} is torch {found}, and this needs {version}", remedy)


def _version_of(folder: str) -> Optional[str]:
    """The libtorch archive has `build-version`; the Python package has `version.py` in its place."""
    for file, pattern in (("build-version", r"\s*(\S+)"), ("version.py", r"(?m)^__version__\s*=\s*['\"]([^'\"]+)")):
        try:
            with open(os.path.join(folder, file), encoding="utf-8") as handle:
                match = re.search(pattern, handle.read(4096))
        except (OSError, UnicodeDecodeError):
            continue
        if match:
            return match.group(1)
    return None
