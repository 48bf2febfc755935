#!/usr/bin/env python3
"""An upstream that streams at a pace: every POST by HTTP/1.1 and every call of gRPC on h2c gets the same chunks at even distances.

    paced_upstream.py FOLDER CHUNKS SECONDS apart|together

What it sends are files of FOLDER: `http-chunk` CHUNKS times, one each SECONDS, and then `http-end`; in gRPC `grpc-chunk` and `grpc-end`, which hold
messages in their frames. With `apart` each stream has its own moment within SECONDS, as the streams of many workers have; with `together` all chunks are
due at the same moments, as those of one worker whose steps are for all its sequences. Other requests than POST get `http-other`. Where it listens is
printed on standard output.
"""

from __future__ import annotations

import asyncio
import math
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Callable, Dict, Iterator

_HTTP_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
)
_GOLDEN = 0.618034
# Frames of HTTP/2 (RFC 9113, section 6).
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1


@dataclass(frozen=True)
class Pace:
    """What is sent, and when."""

    folder: Path
    chunks: int
    seconds: float
    together: bool
    numbers: Iterator[int]

    def read(self, name: str) -> bytes:
        """One of the files."""
        return (self.folder / name).read_bytes()

    def _begin(self, now: float) -> float:
        if self.together:
            return math.ceil(now / self.seconds) * self.seconds if self.seconds else now
        return now + next(self.numbers) * _GOLDEN % 1 * self.seconds

    async def send(self, chunk: bytes, end: bytes, write: Callable[[bytes], None]) -> None:
        """Writes all of one stream, each chunk when it is due."""
        clock = asyncio.get_running_loop().time
        begin = self._begin(clock())
        for number in range(self.chunks):
            await asyncio.sleep(max(0.0, begin + number * self.seconds - clock()))
            write(chunk)
        write(end)


async def serve(pace: Pace, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until its client has enough of it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"PRI "):
            await reader.readexactly(len(b"SM\r\n\r\n"))
            await Http2(pace, reader, writer).serve()
        else:
            await _http1(pace, head, reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _http1(pace: Pace, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    chunk, end, other = (pace.read(name) for name in ("http-chunk", "http-end", "http-other"))
    while True:
        await reader.readexactly(_content_length(head))
        if head.startswith(b"POST "):
            writer.write(_HTTP_HEAD)
            await pace.send(_chunked(chunk), _chunked(end) + _chunked(b""), writer.write)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(other), other))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")


def _content_length(head: bytes) -> int:
    lengths = (line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length:"))
    return int(next(lengths, b"0"))


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Http2:
    """A connection of gRPC. Header blocks are not looked into, since every call gets the same answer; and windows are not counted, since an answer is
    shorter than the least that a client may grant a stream without saying so."""

    def __init__(self, pace: Pace, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pace = pace
        self._reader = reader
        self._writer = writer
        self._chunk, self._end = pace.read("grpc-chunk"), pace.read("grpc-end")
        self._streams: Dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Reads frames until the connection ends."""
        self._writer.write(frame(_SETTINGS, 0, 0, b""))
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        finally:
            for task in self._streams.values():
                task.cancel()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._writer.write(frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _RESET and stream in self._streams:
            self._streams.pop(stream).cancel()
        elif kind == _DATA and payload:
            self._writer.write(frame(_WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big")))
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._streams[stream] = asyncio.ensure_future(self._answer(stream))

    async def _answer(self, stream: int) -> None:
        self._writer.write(frame(_HEADERS, _END_HEADERS, stream, STATUS_200 + field("content-type", "application/grpc")))
        chunk, end = frame(_DATA, 0, stream, self._chunk), frame(_DATA, 0, stream, self._end)
        trailers = frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, field("grpc-status", "0"))
        await self._pace.send(chunk, end + trailers, self._writer.write)
        del self._streams[stream]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


# The static table of HPACK (RFC 7541, appendix A) has it.
STATUS_200 = b"\x88"


def field(name: str, value: str) -> bytes:
    """A header for HPACK as plain text of less than 127 bytes each, which the other side is not to remember."""
    return b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


async def _main(folder: str, chunks: str, seconds: str, moments: str) -> None:
    pace = Pace(Path(folder), int(chunks), float(seconds), moments == "together", count())
    server = await asyncio.start_server(lambda reader, writer: serve(pace, reader, writer), "127.0.0.1", 0)
    print("listening on %s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[4] not in ("apart", "together"):
        sys.exit(__doc__)
    asyncio.run(_main(*sys.argv[1:]))
