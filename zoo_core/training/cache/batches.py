"""The pictures whose activations are missing, in batches, each with the key of what was read."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from zoo_core.data.digests import digest_of
from zoo_core.data.loader import Given, reading
from zoo_core.data.samples import Samples


class Part(NamedTuple):
    """Rows, or first the pictures for them: where they belong, and the keys of what was read."""

    positions: list[int]
    values: Tensor
    keys: list[bytes]


def at(samples: Samples, position: int) -> tuple[int, int]:
    """The epoch and index of a row: all pictures in the first view, then all in the second, …"""
    view, index = divmod(position, len(samples))
    return view + 1, index


def row_key(samples: Samples, position: int, read: Mapping[int, bytes] | None = None) -> bytes:
    """What a row is kept under: the digest of its picture, and which view of it this is.

    `read`: digests of what was read, by index. Nothing where two pictures were, in turn.
    """
    view, index = divmod(position, len(samples))
    digest = read[index] if read is not None else samples.pictures.digest(index)
    which = samples.which(view, index)
    return digest_of(digest, which.encode()) if digest and which else digest


@contextlib.contextmanager
def witnessing(samples: Samples) -> Iterator[None]:
    """Inside, batches have the digests of what was read in the place of targets."""
    samples.witnessed = {}
    try:
        yield
    finally:
        samples.witnessed = None


def pictures_at(
    sets: Mapping[str, Samples],
    own: Mapping[str, list[int]],
    size: int,
    workers: int | str,
    say: Callable[[str], None],
) -> Iterator[tuple[str, Part]]:
    """The pictures at the positions `own` of some sets, by title.

    They are cut so that some in a row, of two sets perhaps, are a batch of `size`.
    """
    room = size
    for title, samples in sets.items():
        positions = own[title]
        cuts = [0, *range(room, len(positions), size), len(positions)]
        parts = [positions[a:b] for a, b in itertools.pairwise(cuts) if a < b]
        room = (room - len(positions)) % size or size
        given = Given([[at(samples, p) for p in part] for part in parts])
        batches = reading(samples, given, workers, say)
        with witnessing(samples), contextlib.closing(batches):
            for part, (x, read) in zip(parts, batches, strict=True):
                yield title, Part(part, x, [row_key(samples, p, read) for p in part])
