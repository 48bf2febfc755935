"""Takes some members out of a wheel, reading only their bytes.

A wheel is a zip file: a table at its end says where each member lies. The table and the stretches that hold the wanted
members are downloaded into files of their own, each resumable, and then read as though the whole wheel were there.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import struct
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, ContextManager, Dict, Iterator, List, Union, cast

from .catalogue import Wheel
from .errors import BAD_DATA, FetchError, RangesRefused
from .web import CHUNK, Count, Web

# Two stretches with a smaller gap than this are one request: the gap costs less than asking again.
MERGE_GAP = 1 << 19
_END_OF_TABLE = b"PK\x05\x06"
_END_SIZE = 22
_LONGEST_END = _END_SIZE + 0xFFFF
_ZIP64 = 0xFFFFFFFF
# All that reading a zip file with wrong bytes in it can raise.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Span:
    """The bytes of the wheel from `start` up to `end`, kept in the file `path`."""

    start: int
    end: int
    path: str


class RangedWheel:
    """A wheel on a server that answers ranges; `folder` keeps what has arrived. Raises `RangesRefused` on opening."""

    def __init__(self, web: Web, url: str, wheel: Wheel, folder: str, count: Count) -> None:
        self._web, self._url, self._wheel, self._count = web, url, wheel, count
        self._size = web.size_by_range(url)
        self._folder = os.path.join(folder, wheel.file)
        os.makedirs(self._folder, exist_ok=True)
        self._table = self._span(self._table_start(), self._size)
        self._bring(self._table)
        self._spans = self._plan()

    def missing(self) -> int:
        """How many bytes `download` still has to bring."""
        return sum(span.end - span.start - size_of(span.path) for span in self._spans)

    def download(self) -> None:
        """Brings every wanted stretch, going on where an earlier run stopped."""
        for span in self._spans:
            self._bring(span)

    def open(self) -> ContextManager[zipfile.ZipFile]:
        """The wheel as a zip file in which the wanted members can be read."""
        return self._zip([self._table, *self._spans])

    def _table_start(self) -> int:
        tail_start = max(0, self._size - _LONGEST_END)
        tail = self._web.bytes_of(self._url, tail_start, self._size)
        at = tail.rfind(_END_OF_TABLE)
        if at < 0 or len(tail) - at < _END_SIZE:
            raise _damaged(self._wheel.file)
        length, start = struct.unpack_from("<II", tail, at + 12)
        if _ZIP64 in (length, start):
            raise RangesRefused("the wheel's table is in the 64-bit form, which is read from the whole file only")
        return int(start)

    def _plan(self) -> List[Span]:
        with self._zip([self._table]) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.header_offset)
        wanted = set(_choose([member.filename for member in members], self._wheel)) | {_record_name(self._wheel)}
        ends = [member.header_offset for member in members[1:]] + [self._table.start]
        merged: List[List[int]] = []
        for member, end in zip(members, ends):
            if member.filename not in wanted:
                continue
            if merged and member.header_offset - merged[-1][1] <= MERGE_GAP:
                merged[-1][1] = end
            else:
                merged.append([member.header_offset, end])
        return [self._span(start, end) for start, end in merged]

    @contextmanager
    def _zip(self, spans: List[Span]) -> Iterator[zipfile.ZipFile]:
        with _Patchwork(self._size, spans) as patchwork, _open_zip(cast(IO[bytes], patchwork), self._wheel.file) as opened:
            yield opened

    def _span(self, start: int, end: int) -> Span:
        return Span(start, end, os.path.join(self._folder, f"{start}-{end}"))

    def _bring(self, span: Span) -> None:
        self._web.range_to_file(self._url, span.start, span.end, span.path, self._count)


def extract(archive: zipfile.ZipFile, wheel: Wheel, tree: str) -> Dict[str, str]:
    """Unpacks what the catalogue takes into `tree`; answers each new file's sha256.

    Every member's checksum in the zip file, and its sha256 in the wheel's RECORD, must be right; RECORD itself is pinned.
    """
    known = _read_record(archive, wheel)
    hashes = {}
    for member, place in _choose(archive.namelist(), wheel).items():
        try:
            digest = _copy_out(archive, member, _inside(tree, place))
        except _BROKEN_ZIP as error:
            raise _damaged(f"{member} in {wheel.file}") from error
        if known.get(member) != digest:
            raise _damaged(f"{member} in {wheel.file}")
        hashes[place] = digest.hex()
    return hashes


def open_whole(path: str) -> zipfile.ZipFile:
    """A wheel that is on this machine in full."""
    return _open_zip(path, os.path.basename(path))


def _open_zip(source: Union[str, IO[bytes]], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except _BROKEN_ZIP as error:
        raise _damaged(name) from error


def _damaged(what: str) -> FetchError:
    return FetchError(
        BAD_DATA,
        f"{what} is not what the catalogue expects (wrong checksum); nothing was installed",
        "run the same command again, it starts this download afresh; if it fails again, the mirror that pip uses holds"
        " something else than the original, or setup/catalogue.json was changed",
    )


def _read_record(archive: zipfile.ZipFile, wheel: Wheel) -> Dict[str, bytes]:
    name = _record_name(wheel)
    try:
        body = archive.read(name)
    except _BROKEN_ZIP as error:
        raise _damaged(f"{name} in {wheel.file}") from error
    if hashlib.sha256(body).hexdigest() != wheel.record:
        raise _damaged(f"{name} in {wheel.file}")
    rows = csv.reader(io.StringIO(body.decode()))
    return {row[0]: _decode(row[1]) for row in rows if len(row) > 1 and row[1].startswith("sha256=")}


def _decode(field: str) -> bytes:
    text = field[len("sha256=") :]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _record_name(wheel: Wheel) -> str:
    distribution = wheel.file.split("-", 1)[0]
    return f"{distribution}-{wheel.version}.dist-info/RECORD"


def _choose(names: List[str], wheel: Wheel) -> Dict[str, str]:
    """Which members are wanted, and where each one goes."""
    chosen = {}
    for prefix, place in wheel.take.items():
        if prefix.endswith("/"):
            found = {name: place + name[len(prefix) :] for name in names if name.startswith(prefix) and not name.endswith("/")}
        else:
            found = {name: place for name in names if name == prefix}
        if not found:
            raise _damaged(f"{wheel.file} (it lacks {prefix})")
        chosen.update(found)
    return chosen


def _inside(tree: str, place: str) -> str:
    path = os.path.normpath(os.path.join(tree, place))
    if not path.startswith(os.path.join(tree, "")):
        raise _damaged(f"{place} (it would be written outside its folder)")
    return path


def _copy_out(archive: zipfile.ZipFile, member: str, path: str) -> bytes:
    digest = hashlib.sha256()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(member) as source, open(path, "wb") as out:
        while True:
            chunk = source.read(CHUNK)
            if not chunk:
                return digest.digest()
            digest.update(chunk)
            out.write(chunk)


def size_of(path: str) -> int:
    """How many bytes a file has; none when it is not there."""
    return os.path.getsize(path) if os.path.exists(path) else 0


class _Patchwork(io.RawIOBase):
    """A file of which only some spans are here; reading anywhere else is an error."""

    def __init__(self, size: int, spans: List[Span]) -> None:
        super().__init__()
        self._size, self._at, self._spans = size, 0, spans
        self._files = ExitStack()
        self._handles = [self._files.enter_context(open(span.path, "rb")) for span in spans]

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        parts = []
        while self._at < end:
            part = self._read_piece(end)
            self._at += len(part)
            parts.append(part)
        return b"".join(parts)

    def _read_piece(self, end: int) -> bytes:
        for span, handle in zip(self._spans, self._handles):
            if span.start <= self._at < span.end:
                handle.seek(self._at - span.start)
                part = handle.read(min(end, span.end) - self._at)
                if part:
                    return part
        raise EOFError("this part of the wheel was not downloaded")

    def close(self) -> None:
        self._files.close()
        super().close()
