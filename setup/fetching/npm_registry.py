"""An npm registry, found through npm's own configuration. No address is written down here."""

from __future__ import annotations

import os
import shutil
import subprocess

from .errors import UNAVAILABLE, FetchError


def address(package: str, version: str) -> str:
    """The address of a package's archive. Raises `FetchError` when nothing says where the registry is."""
    return f"{_registry().rstrip('/')}/{package}/-/{package.rsplit('/', 1)[-1]}-{version}.tgz"


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
