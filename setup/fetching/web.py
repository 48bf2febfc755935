"""HTTP with ranges and resume.

Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...), trusted certificates from `SSL_CERT_FILE`,
`REQUESTS_CA_BUNDLE` or pip's `cert` setting. Credentials inside an address are sent as a header to that host only and
are never printed.
"""

from __future__ import annotations

import base64
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Callable, Dict, Optional, Tuple

from .errors import UNAVAILABLE, FetchError, RangesRefused

CHUNK = 1 << 18
TIMEOUT_S = 60.0
# A connection that is cut is taken up again where it stopped; only this many tries in a row that bring nothing give up.
FRUITLESS_TRIES = 5
FIRST_PAUSE_S = 0.25

Count = Callable[[int], None]


class Web:
    """Opens addresses. `ca_file` and `proxy` win over the environment; both may be None."""

    def __init__(self, ca_file: Optional[str] = None, proxy: Optional[str] = None, pause_s: float = FIRST_PAUSE_S) -> None:
        ca_file = ca_file or os.environ.get("REQUESTS_CA_BUNDLE")
        if os.environ.get("SSL_CERT_FILE") or not (ca_file and os.path.isfile(ca_file)):
            ca_file = None
        handlers = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file))]
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self._opener = urllib.request.build_opener(*handlers)
        self._pause_s = pause_s

    def open(self, url: str, headers: Optional[Dict[str, str]] = None) -> http.client.HTTPResponse:
        """Sends one GET. Raises urllib's and http.client's own errors."""
        plain, authorization = split_credentials(url)
        request = urllib.request.Request(plain, headers={"User-Agent": "torchmesh-setup", **(headers or {})})
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        return self._opener.open(request, timeout=TIMEOUT_S)

    def read(self, url: str, headers: Optional[Dict[str, str]] = None) -> Tuple[bytes, str, str]:
        """The whole body, its content type, and the address it finally came from. Tries again when the line is bad."""

        def once() -> Tuple[bytes, str, str]:
            with self.open(url, headers) as response:
                return response.read(), response.headers.get("Content-Type", ""), response.geturl()

        return self._persist(url, once)

    def size_by_range(self, url: str) -> int:
        """The length of a file in bytes, learnt with a range request. Raises `RangesRefused` when ranges do not work."""

        def once() -> int:
            with self.open(url, {"Range": "bytes=0-0", "Accept-Encoding": "identity"}) as response:
                return _content_range(response)[1]

        return self._persist(url, once)

    def bytes_of(self, url: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, for pieces small enough to hold in memory."""

        def once() -> bytes:
            with self._open_range(url, start, end) as response:
                body = response.read()
            if len(body) != end - start:
                raise ConnectionError("the answer was cut short")
            return body

        return self._persist(url, once)

    def range_to_file(self, url: str, start: int, end: int, path: str, count: Count) -> None:
        """Brings the bytes from `start` up to `end` into `path`, going on after those that `path` already holds."""
        fruitless = 0
        while True:
            have = os.path.getsize(path) if os.path.exists(path) else 0
            if have == end - start:
                return
            if have > end - start:
                os.truncate(path, 0)
                continue
            try:
                with self._open_range(url, start + have, end) as response, open(path, "ab") as out:
                    _pour(response, out, end - start - have, count)
                problem: Exception = ConnectionError("the connection was cut")
            except _LINE_ERRORS as error:
                problem = error
            fruitless = 0 if os.path.exists(path) and os.path.getsize(path) > have else fruitless + 1
            self._rest(url, problem, fruitless)

    def whole_to_file(self, url: str, path: str, count: Count) -> None:
        """Brings a whole file from a server that answers no ranges: a cut connection starts from the first byte."""

        def once() -> None:
            with self.open(url, {"Accept-Encoding": "identity"}) as response, open(path, "wb") as out:
                length = response.headers.get("Content-Length")
                done = _pour(response, out, int(length) if length else None, count)
            if length and done != int(length):
                raise ConnectionError("the connection was cut")

        self._persist(url, once)

    def _open_range(self, url: str, start: int, end: int) -> http.client.HTTPResponse:
        response = self.open(url, {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"})
        try:
            if _content_range(response)[0] != start:
                raise RangesRefused("the server answered another range than the one asked for")
        except RangesRefused:
            response.close()
            raise
        return response

    def _persist(self, url, once):
        fruitless = 0
        while True:
            try:
                return once()
            except _LINE_ERRORS as error:
                fruitless += 1
                self._rest(url, error, fruitless)

    def _rest(self, url: str, problem: Exception, fruitless: int) -> None:
        """Waits before the next try, longer each time; raises when trying again would not help."""
        status = problem.code if isinstance(problem, urllib.error.HTTPError) else None
        final = status is not None and status < 500 and status not in (408, 429)
        if final or fruitless >= FRUITLESS_TRIES:
            raise FetchError(
                UNAVAILABLE,
                f"cannot get {printable(url)}: {_reason(problem)}",
                "check the network, HTTPS_PROXY and `python3 -m pip config list`, then run the same command again:"
                " what was downloaded is kept",
            ) from problem
        if fruitless:
            time.sleep(self._pause_s * (2 ** (fruitless - 1)))


# What a bad line raises. Being full up (ENOSPC) is an OSError as well, but it must not be tried again.
_LINE_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def _pour(response: http.client.HTTPResponse, out, limit: Optional[int], count: Count) -> int:
    done = 0
    while limit is None or done < limit:
        chunk = response.read(CHUNK if limit is None else min(CHUNK, limit - done))
        if not chunk:
            break
        out.write(chunk)
        done += len(chunk)
        count(len(chunk))
    return done


def _content_range(response: http.client.HTTPResponse) -> Tuple[int, int]:
    """The first byte and the full length that a partial answer names."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
    if response.status != 206 or match is None:
        raise RangesRefused("the server does not answer range requests")
    return int(match.group(1)), int(match.group(2))


def split_credentials(url: str) -> Tuple[str, Optional[str]]:
    """The address without user and password, and the header that carries them."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), f"Basic {token}"


def printable(url: str) -> str:
    """The address without anything that may be a secret: no credentials, no query."""
    parts = urllib.parse.urlsplit(split_credentials(url)[0])
    return urllib.parse.urlunsplit(parts._replace(query="", fragment=""))


def _reason(problem: Exception) -> str:
    if isinstance(problem, urllib.error.HTTPError):
        return f"the server answered {problem.code} {problem.reason}"
    if isinstance(problem, urllib.error.URLError):
        return str(problem.reason)
    return str(problem) or type(problem).__name__
