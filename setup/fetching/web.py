"""HTTP with ranges and resume.

Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...), trusted certificates from pip's `cert` setting,
`SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`, in this order. Credentials inside an address are sent as a header to that host only and
are never printed.
"""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import BinaryIO, Callable, Dict, List, Optional, Tuple, TypeVar, cast

from .errors import UNAVAILABLE, FetchError, RangesRefused, Refused

CHUNK = 1 << 18
TIMEOUT_S = 60.0
# A connection that is cut is taken up again where it stopped; only this many tries in a row that bring nothing give up.
FRUITLESS_TRIES = 5
FIRST_PAUSE_S = 0.25

Count = Callable[[int], None]
Answer = TypeVar("Answer")


class Web:
    """Opens addresses. `ca_file` and `proxy` win over the environment; both may be None."""

    def __init__(self, ca_file: Optional[str] = None, proxy: Optional[str] = None) -> None:
        if not ca_file and not os.environ.get("SSL_CERT_FILE"):
            ca_file = os.environ.get("REQUESTS_CA_BUNDLE")
        usable = ca_file if ca_file and os.path.isfile(ca_file) else None
        context = ssl.create_default_context(cafile=usable)
        handlers: List[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self._opener = urllib.request.build_opener(*handlers)

    def open(self, url: str, headers: Optional[Dict[str, str]] = None) -> http.client.HTTPResponse:
        """Sends one GET. Raises urllib's and http.client's own errors."""
        plain, authorization = split_credentials(url)
        request = urllib.request.Request(plain, headers={"User-Agent": "torchmesh-setup", **(headers or {})})
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        return cast(http.client.HTTPResponse, self._opener.open(request, timeout=TIMEOUT_S))

    def read(self, url: str, headers: Optional[Dict[str, str]] = None) -> Tuple[bytes, str, str]:
        """The whole body, its content type, and the address that it came from in the end."""

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
            except LINE_ERRORS as error:
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

    def _persist(self, url: str, once: Callable[[], Answer]) -> Answer:
        fruitless = 0
        while True:
            try:
                return once()
            except LINE_ERRORS as error:
                fruitless += 1
                self._rest(url, error, fruitless)

    @staticmethod
    def _rest(url: str, problem: Exception, fruitless: int) -> None:
        """Waits before the next try, longer each time; raises when trying again would not help."""
        if isinstance(problem, urllib.error.HTTPError):
            problem.close()
        what = f"cannot get {printable(url)}: {_reason(problem)}"
        if _is_final(problem):
            remedy = "see that this address is right and that you may read it (`python3 -m pip config list`, SSL_CERT_FILE)"
            raise Refused(UNAVAILABLE, what, remedy) from problem
        if fruitless >= FRUITLESS_TRIES:
            remedy = "check the network and HTTPS_PROXY, then run the same command again: what was downloaded is kept"
            raise FetchError(UNAVAILABLE, what, remedy) from problem
        if fruitless:
            time.sleep(FIRST_PAUSE_S * (2 ** (fruitless - 1)))


# What a bad line raises. A full disk raises an OSError as well, but must not be tried again, so that is not in the list.
LINE_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, socket.timeout, ssl.SSLError)
_TRY_AGAIN_STATUS = (408, 425, 429)


def _is_final(problem: Exception) -> bool:
    if isinstance(problem, urllib.error.HTTPError):
        return problem.code < 500 and problem.code not in _TRY_AGAIN_STATUS
    return isinstance(getattr(problem, "reason", problem), ssl.SSLCertVerificationError)


def _pour(response: http.client.HTTPResponse, out: BinaryIO, limit: Optional[int], count: Count) -> int:
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
