"""As much of Protocol Buffers' wire format as it takes to ask a server for a vector and to read it: no package is needed for it."""

from __future__ import annotations

import array
import sys
from typing import Iterator, List, Tuple, Union

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def field(number: int, value: Union[int, str, bytes]) -> bytes:
    """One field of a message: a whole number that is not negative, a string, or bytes (a message is bytes)."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def fields(message: bytes) -> Iterator[Tuple[int, Union[int, bytes]]]:
    """The fields of a message in their order: numbers as numbers, everything else as its bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, value
            continue
        length = 8 if kind == _FIXED64 else 4
        if kind == _BYTES:
            length, at = _read_varint(message, at)
        elif kind not in (_FIXED64, _FIXED32):
            raise ValueError(f"wire type {kind} is not known")
        if at + length > len(message):
            raise ValueError("the message is cut off")
        yield key >> 3, message[at : at + length]
        at += length


def first(message: bytes, *path: int) -> bytes:
    """The first field of that number, inside the first one of the number before, and so on; empty when there is none."""
    for number in path:
        message = next((value for found, value in fields(message) if found == number and isinstance(value, bytes)), b"")
    return message


def floats(data: bytes) -> List[float]:
    """What `repeated float` packs, and what a raw FP32 tensor holds."""
    values = array.array("f", data)
    if sys.byteorder == "big":
        values.byteswap()
    return list(values)


def _varint(value: int) -> bytes:
    groups = []
    while True:
        groups.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(groups)


def _read_varint(message: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("the message is cut off")
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 0x80:
            return value, at
