"""The bytes of a file in Xet's simulated store, so that clients without Xet get it too.

A xorb is a row of chunks. Each has a header of 8 bytes: version, stored size (3), way of
compression, true size (3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hub.shards import Segment, index

PLAIN, LZ4, GROUPED_LZ4 = range(3)


def content(store: Path, sha256: str) -> bytes | None:
    """The whole file; None where the store does not have it."""
    file = index(store).get(sha256)
    if file is None:
        return None
    return b"".join(b"".join(chunks(store, segment)) for segment in file.segments)


def chunks(store: Path, segment: Segment) -> Iterator[bytes]:
    xorb = (store / "xet" / "xorbs" / "xorbs" / f"default.{segment.xorb}").read_bytes()
    place = 0
    for number in range(segment.last):
        header = xorb[place : place + 8]
        stored = int.from_bytes(header[1:4], "little")
        if number >= segment.first:
            yield unpacked(xorb[place + 8 : place + 8 + stored], header[4])
        place += 8 + stored


def unpacked(data: bytes, way: int) -> bytes:
    if way == PLAIN:
        return data
    plain = frame(data)
    return ungrouped(plain) if way == GROUPED_LZ4 else plain


def ungrouped(data: bytes) -> bytes:
    """Every first byte of four came first, then every second one, and so on."""
    out, start = bytearray(len(data)), 0
    for number in range(4):
        count = len(out[number::4])
        out[number::4] = data[start : start + count]
        start += count
    return bytes(out)


def frame(data: bytes) -> bytes:
    """An LZ4 frame: a header, blocks with their sizes, a size of 0."""
    flags, out = data[4], bytearray()
    place = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    while size := int.from_bytes(data[place : place + 4], "little"):
        length = size & 0x7FFFFFFF
        block = data[place + 4 : place + 4 + length]
        if size >> 31:
            out += block
        else:
            expand(block, out)
        place += 4 + length + (4 if flags & 0x10 else 0)
    return bytes(out)


def expand(block: bytes, out: bytearray) -> None:
    """An LZ4 block: bytes as they are, then a length and how far back to copy from, and so on."""
    place = 0
    while place < len(block):
        token = block[place]
        count, place = length(block, place + 1, token >> 4)
        out += block[place : place + count]
        place += count
        if place >= len(block):
            return
        back = int.from_bytes(block[place : place + 2], "little")
        count, place = length(block, place + 2, token & 15)
        copy(out, back, count + 4)


def length(block: bytes, place: int, count: int) -> tuple[int, int]:
    """A count of 15 goes on in the next bytes, while they are 255."""
    more = 255 if count == 15 else 0
    while more == 255:
        more = block[place]
        count, place = count + more, place + 1
    return count, place


def copy(out: bytearray, back: int, count: int) -> None:
    """The copy may run into what it has just written."""
    start = len(out) - back
    piece = bytes(out[start:])
    out += (piece * (count // back + 1))[:count]
