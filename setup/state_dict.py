#!/usr/bin/env python3
"""Turns a state dict that `torch.save` wrote into a safetensors file, without PyTorch.

    python3 setup/state_dict.py weights.pth --out weights.safetensors

A state dict is pickled, and a pickle can run anything. This reader knows the few names that a state dict of tensors needs, and refuses a file
that asks for another. It reads the form from before PyTorch 1.6 (pickles one after the other) and the one since then (a zip).
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import struct
import sys
import zipfile
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

MAGIC = 0x1950A86A20F9469CFC6C
# A storage's type in PyTorch, the element's name in safetensors, and its size.
TYPES = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}


class Unreadable(Exception):
    """The file is not a state dict of tensors."""


@dataclass(frozen=True)
class StorageType:
    """What stands for `torch.FloatStorage` and the like."""

    dtype: str
    size: int


@dataclass
class Storage:
    """The elements of one or more tensors; in the older form they come after all that names them."""

    kind: StorageType
    count: int
    data: bytes = b""


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, counted in elements."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    stride: Tuple[int, ...]

    def bytes(self) -> bytes:
        """The elements, row by row. Raises `Unreadable` when the file does not have them all."""
        size = self.storage.kind.size
        # A dimension of 1 has a stride that means nothing.
        dims = [(length, stride) for length, stride in zip(self.shape, self.stride) if length != 1] or [(1, 1)]
        last = self.offset + sum((length - 1) * stride for length, stride in dims)
        if min(length for length, _ in dims) > 0 and (last + 1) * size > len(self.storage.data):
            raise Unreadable("a tensor's elements are missing; the file is cut off")
        # Elements as whole numbers of their size, so that they can be taken in steps.
        view = memoryview(self.storage.data[: len(self.storage.data) // size * size]).cast({1: "B", 2: "H", 4: "I", 8: "Q"}[size])
        rows: List[bytes] = []
        _gather(view, self.offset, dims, rows)
        return b"".join(rows)


def _gather(view: memoryview, offset: int, dims: List[Tuple[int, int]], rows: List[bytes]) -> None:
    (length, stride), inner = dims[0], dims[1:]
    if not inner:
        rows.append(view[offset : offset + (length - 1) * stride + 1 : stride].tobytes() if length else b"")
        return
    for index in range(length):
        _gather(view, offset + index * stride, inner, rows)


def _rebuild(storage: Storage, offset: int, shape: Tuple[int, ...], stride: Tuple[int, ...], *_: Any) -> Tensor:
    return Tensor(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


class _Reader(pickle.Unpickler):
    """An unpickler that makes nothing but dictionaries, numbers and what stands for tensors."""

    def __init__(self, file: Any, storage: Callable[[StorageType, str, int], Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in TYPES:
            return StorageType(*TYPES[name])
        raise Unreadable(f"it asks for {module}.{name}, which a state dict of tensors does not need")

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], StorageType):
            raise Unreadable("it refers to something that is not a storage")
        return self._storage(pid[1], str(pid[2]), int(pid[4]))


def read(path: str) -> Dict[str, Tensor]:
    """The tensors of a file by name. Raises `Unreadable`."""
    try:
        with open(path, "rb") as file:
            found = _read_zip(path) if file.read(4) == b"PK\x03\x04" else _read_pickles(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, struct.error, TypeError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise Unreadable("it holds something else than named tensors")
    return dict(found)


def _read_zip(path: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl"))[: -len("data.pkl")]
        made: Dict[str, Storage] = {}

        def storage(kind: StorageType, key: str, count: int) -> Storage:
            if key not in made:
                made[key] = Storage(kind, count, archive.read(f"{root}data/{key}"))
            return made[key]

        return _Reader(io.BytesIO(archive.read(root + "data.pkl")), storage).load()


def _read_pickles(path: str) -> Any:
    made: Dict[str, Storage] = {}

    def storage(kind: StorageType, key: str, count: int) -> Storage:
        return made.setdefault(key, Storage(kind, count))

    with open(path, "rb") as file:
        if _Reader(file, storage).load() != MAGIC:
            raise Unreadable("it does not begin as a file of torch.save does")
        for _ in ("the version", "the machine it was written on"):
            _Reader(file, storage).load()
        found = _Reader(file, storage).load()
        keys: List[str] = _Reader(file, storage).load()
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            made[key].data = file.read(count * made[key].kind.size)
    return found


def write(tensors: Dict[str, Tensor], path: str) -> None:
    """Writes a safetensors file: the length of its head, the head, the elements."""
    bodies = [tensor.bytes() for tensor in tensors.values()]
    head: Dict[str, Any] = {}
    end = 0
    for (name, tensor), body in zip(tensors.items(), bodies):
        start, end = end, end + len(body)
        head[name] = {"dtype": tensor.storage.kind.dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    draft = f"{path}.draft"
    with open(draft, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for body in bodies:
            file.write(body)
    os.replace(draft, path)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="what torch.save wrote")
    parser.add_argument("--out", required=True, help="the safetensors file to write")
    options = parser.parse_args(arguments)
    try:
        write(read(options.file), options.out)
    except (Unreadable, OSError) as error:
        print(f"error: {options.file} cannot be turned into safetensors: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
