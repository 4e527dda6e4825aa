"""The shards of Xet's simulated store: which file is made of which chunks.

The commit, which is all that the Hub gets, tells the sha256 of a file and not its Xet hash. A shard
has both. After its header come records of 48 bytes: for each file one with its Xet hash, one for
each of its segments, and, as flags say, a check for each segment and one with the sha256.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD = 48
END = b"\xff" * 32
HAS_CHECKS, HAS_SHA256 = 1 << 31, 1 << 30


@dataclass(frozen=True)
class Segment:
    """Chunks `first` to `last`, that one not included, of a xorb."""

    xorb: str
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class XetFile:
    hash: str
    sha256: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self.segments)


def index(store: Path) -> dict[str, XetFile]:
    """sha256 -> file, for all files of a store."""
    shards = sorted((store / "xet" / "xorbs" / "shards").glob("*.mdb"))
    return {file.sha256: file for shard in shards for file in files(shard)}


@functools.lru_cache(maxsize=256)
def files(shard: Path) -> tuple[XetFile, ...]:
    """The files of a shard, whose content its name tells: it never changes."""
    return tuple(file for file in read(shard.read_bytes()) if file.sha256)


def read(shard: bytes) -> Iterator[XetFile]:
    place = RECORD
    while not shard.startswith(END, place):
        flags, count = struct.unpack_from("<II", shard, place + 32)
        segments = tuple(segment(shard, place + RECORD * n) for n in range(1, count + 1))
        name = hash_at(shard, place)
        place += RECORD * (1 + count * (2 if flags & HAS_CHECKS else 1))
        sha256 = hash_at(shard, place) if flags & HAS_SHA256 else ""
        place += RECORD if flags & HAS_SHA256 else 0
        yield XetFile(name, sha256, segments)


def segment(shard: bytes, place: int) -> Segment:
    _, size, first, last = struct.unpack_from("<IIII", shard, place + 32)
    return Segment(hash_at(shard, place), size, first, last)


def hash_at(shard: bytes, place: int) -> str:
    """A hash is written as four numbers of 8 bytes."""
    return "".join(f"{number:016x}" for number in struct.unpack_from("<4Q", shard, place))
