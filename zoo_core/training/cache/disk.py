"""Activations on disk: what a frozen prefix gives for each picture, computed once.

A folder an entry, under `activations/` in zoo's cache:

    KEY/values.safetensors    the tensor `activations`, a row for each picture and view
    KEY/facts.json            what they were computed from, and the checksum of the values

KEY is a hash of everything that the values depend on. An entry is written beside its place and
renamed, so it is whole or not there; the checksum is compared whenever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zoo_core.cache import cache_folder
from zoo_core.errors import RecipeError
from zoo_core.humanize import byte_size

VALUES, FACTS, NAME = "values.safetensors", "facts.json", "activations"
LIMIT = "ZOO_CACHE_LIMIT"
DEFAULT_LIMIT = "20GB"
STALE = 86_400.0  # seconds after which an unfinished entry is nobody's
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


@dataclass(frozen=True)
class Entry:
    """Activations that are kept: where, how large, when last used, and from what they come."""

    key: str
    path: Path
    bytes: int
    used: float
    facts: Mapping[str, Any]


def key_of(facts: Mapping[str, Any]) -> str:
    """A name that two sets of activations share only when they were computed alike."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def place() -> Path:
    """The folder of all entries."""
    return cache_folder() / "activations"


def entries() -> list[Entry]:
    """All that are kept, the latest used first; what is no entry is passed over."""
    kept = []
    with contextlib.suppress(OSError):
        for path in place().iterdir():
            entry = _entry(path)
            if entry is not None:
                kept.append(entry)
    return sorted(kept, key=lambda entry: -entry.used)


def _entry(path: Path) -> Entry | None:
    if path.name.startswith("."):  # one that is being written
        return None
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        size = (path / VALUES).stat().st_size
        used = (path / FACTS).stat().st_mtime
    except (OSError, ValueError):
        return None
    return Entry(path.name, path, size, used, facts) if isinstance(facts, dict) else None


def remove(path: Path) -> None:
    """Take an entry away, or what is left of one."""
    shutil.rmtree(path, ignore_errors=True)


def clear() -> int:
    """Remove all entries, whole or not; returns their bytes."""
    size = 0
    with contextlib.suppress(OSError):
        for path in list(place().iterdir()):
            with contextlib.suppress(OSError):  # another process was first
                size += sum(file.stat().st_size for file in path.glob("*"))
            remove(path)
    return size


# --- how much may be kept ------------------------------------------------------------------------


def limit() -> int:
    """How many bytes all entries may take: ZOO_CACHE_LIMIT, else 20 GB. Raises RecipeError."""
    return parse_size(os.environ.get(LIMIT) or DEFAULT_LIMIT)


def parse_size(text: str) -> int:
    """Bytes of a size as people write it.

    >>> parse_size("1.5 GB"), parse_size("800mb"), parse_size("10")
    (1500000000, 800000000, 10)
    """
    number, unit = text.strip().upper(), "B"
    for suffix in UNITS:
        if number.endswith(suffix):
            number, unit = number.removesuffix(suffix), suffix
            break
    try:
        size = float(number) * UNITS[unit]
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise RecipeError(f'{LIMIT}="{text}" is no size.', hint="Write 20GB or 500MB.")
    return int(size)


def why_no_room(size: int) -> str:
    """Why values of so many bytes cannot be kept; nothing where they can."""
    if size > limit():
        return f"{byte_size(size)} are more than the {byte_size(limit())} of {LIMIT}"
    free = free_bytes() + sum(entry.bytes for entry in entries())
    return "" if size < free else f"{byte_size(size)} do not fit on the disk of {place()}"


def free_bytes() -> int:
    """The bytes that are free where entries are."""
    path = place()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def make_room(size: int) -> None:
    """Remove what was not used for longest, until so many bytes fit under the limit."""
    for left in place().glob(".new-*"):  # of processes that were killed
        if time.time() - left.stat().st_mtime > STALE:
            remove(left)
    kept = entries()
    while kept and sum(e.bytes for e in kept) + size > limit():
        remove(kept.pop().path)


def memory_budget() -> int:
    """How many bytes may be held in memory: half of what is free."""
    import psutil

    return int(psutil.virtual_memory().available) // 2


# --- reading -------------------------------------------------------------------------------------


def load(key: str) -> Tensor | None:
    """The activations of an entry, on the CPU: in memory where they fit, else mapped.

    None where there is no such entry; one that is damaged is removed.
    """
    entry = _entry(place() / key)
    if entry is None:
        return None
    try:
        tensor = _mapped(entry)
        if tensor.numel() * tensor.element_size() <= memory_budget():
            tensor = tensor.clone()
        if checksum(tensor) != entry.facts["checksum"]:
            raise ValueError("checksum")
    except (OSError, ValueError, KeyError, SafetensorError):
        remove(entry.path)
        return None
    with contextlib.suppress(OSError):  # a folder for reading only
        os.utime(entry.path / FACTS)
    return tensor


def _mapped(entry: Entry) -> Tensor:
    """Mapped: nothing that happens to the tensor can reach the file."""
    return load_file(entry.path / VALUES)[NAME]


def checksum(tensor: Tensor) -> str:
    """A hash of the bytes of a tensor on the CPU."""
    digest = hashlib.blake2b(digest_size=16)
    for part in tensor.reshape(-1).view(torch.uint8).split(2**26):
        digest.update(part.numpy().data)
    return digest.hexdigest()


# --- writing -------------------------------------------------------------------------------------


class Sink:
    """Where rows of activations go while they are computed: a file that others can write, too.

    `temporary`: a folder of its own beside the place of the entry.
    """

    def __init__(self, temporary: Path, rows: int, like: Tensor) -> None:
        shape = (rows, *like.shape[1:])
        self.row = like[0].numel() * like.element_size()
        header = _header(shape, like.dtype)
        self.start = len(header)
        # Each process writes the same header: none may empty a file with another's rows.
        opened = os.open(temporary / VALUES, os.O_RDWR | os.O_CREAT, 0o644)
        self.file = os.fdopen(opened, "r+b")
        self._write(0, header)

    def put(self, first: int, values: Tensor) -> None:
        """Write some rows, the first of them at `first`. Raises OSError on a full disk."""
        data = values.contiguous().reshape(-1).view(torch.uint8).numpy().data
        self._write(self.start + first * self.row, data)

    def _write(self, place: int, data: Any) -> None:
        self.file.seek(place)
        self.file.write(data)
        self.file.flush()  # a full disk is to be noticed here

    def close(self) -> None:
        self.file.close()


def _header(shape: tuple[int, ...], dtype: torch.dtype) -> bytes:
    size = math.prod(shape) * dtype.itemsize
    tensor = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({NAME: tensor}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def temporary_entry() -> Path:
    """A new folder beside the entries. Raises OSError."""
    place().mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=place(), prefix=".new-"))


def finish(temporary: Path, key: str, facts: Mapping[str, Any]) -> None:
    """Give a written folder its facts and checksum, and its place. Raises OSError."""
    entry = Entry(key, temporary, 0, 0.0, {})
    whole = {**facts, "checksum": checksum(_mapped(entry))}
    (temporary / FACTS).write_text(json.dumps(whole, indent=2, default=str), encoding="utf-8")
    if _entry(place() / key) is None:  # there is none, or its facts are damaged
        remove(place() / key)
    with contextlib.suppress(OSError):  # another process was first, with the same values
        temporary.rename(place() / key)
    remove(temporary)


@contextlib.contextmanager
def removed_on_error(temporary: Path | None) -> Iterator[None]:
    """No half entry is left where its writing was stopped."""
    try:
        yield
    except BaseException:
        if temporary is not None:
            remove(temporary)
        raise
