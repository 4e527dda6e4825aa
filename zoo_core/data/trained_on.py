"""Which pictures a model was trained on: short digests of their content, in memory and in a run."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from zoo_core.data.digests import item_digest
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import seeded
from zoo_core.errors import DataError, RecipeError, described
from zoo_core.files import opened
from zoo_core.runs.writing import kept_whole

TRAINED_ON = "trained_on.npz"
COMPARED = 10_000  # pictures that are read to know whether data is the same
TRIED = 4  # items that are read twice, and timed, before all are

# Seconds that reading all pictures once more may take: files, and items of somebody's Dataset.
PATIENCE, PATIENCE_WITH_ITEMS = 120.0, 5.0


@dataclass(frozen=True, eq=False)
class TrainedOn:
    """8 bytes for each picture, sorted: of a million, two are alike by chance once in 10^7 times.

    `stored`: of pictures as they are stored, in a file or an array. `decoded`: of what a Dataset
    gives. One and the same picture has another digest there.

    >>> from zoo_core.data.opening import open_data
    >>> trained_on(open_data("digits#train")).count(open_data("digits").subset(range(100)))
    54
    """

    stored: np.ndarray
    decoded: np.ndarray

    def count(self, pictures: Pictures) -> int | None:
        """How many of the pictures were trained on; None where that cannot be known."""
        own = self.stored if pictures.has_digests else self.decoded
        theirs = _numbers(pictures) if len(own) else None
        return None if theirs is None else int(np.isin(theirs, own).sum())

    def __or__(self, other: TrainedOn) -> TrainedOn:
        pairs = ((self.stored, other.stored), (self.decoded, other.decoded))
        return TrainedOn(*(np.union1d(*pair) for pair in pairs))

    def save(self, folder: Path) -> None:
        """Write it into a run folder. Raises RecipeError."""
        with kept_whole(folder / TRAINED_ON) as temporary, temporary.open("wb") as file:
            np.savez(file, stored=self.stored, decoded=self.decoded)


def trained_on(pictures: Pictures) -> TrainedOn | None:
    """What says later that a picture is one of these; None where that takes too long to know.

    Somebody's Dataset is read for it where that takes a few seconds, and gives the same each time.
    """
    numbers = None if pictures.streamed else _numbers(pictures)
    if numbers is None:
        return None
    sets = (numbers, NONE) if pictures.has_digests else (NONE, numbers)
    return TrainedOn(*map(np.unique, sets))


def replaced(pictures: Pictures) -> TrainedOn | None:
    """Pictures that are there instead of others since their digests were taken; None for none.

    What has gone since then, or cannot be read now, is not among them.
    """
    digests = []
    for index in range(len(pictures) if pictures.has_digests else 0):
        if pictures.was_replaced(index):
            with contextlib.suppress(DataError):
                digests.append(pictures.digest(index)[:8])
    if not digests:
        return None
    return TrainedOn(np.unique(np.frombuffer(b"".join(digests), np.uint64)), NONE)


def read_trained_on(folder: Path) -> TrainedOn | None:
    """What a run folder says of it; None where it says nothing. Raises RecipeError."""
    path = folder / TRAINED_ON
    if not path.exists():
        return None
    try:
        with opened(path) as file:
            _refuse_packed(file)
            with np.load(file, allow_pickle=False) as arrays:
                return TrainedOn(_vector(arrays["stored"]), _vector(arrays["decoded"]))
    except Exception as error:  # whatever zipfile and numpy make of bytes of anybody
        raise RecipeError(
            f"{path} cannot be read: {described(error)}.",
            hint="Remove it; nothing says then which pictures were trained on.",
        ) from error


def _refuse_packed(file: BinaryIO) -> None:
    """Raise ValueError for an archive that unpacks to more than it is: numpy packs nothing."""
    with zipfile.ZipFile(file) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("it is packed")
    file.seek(0)


def _vector(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint64 or array.ndim != 1:
        raise ValueError("no list of digests")
    return array


def content_of(sets: Sequence[Pictures]) -> str | None:
    """What identifies the pictures, where that needs no decoding: of many, those spread evenly."""
    if not all(pictures.has_digests for pictures in sets):
        return None
    digest = hashlib.blake2b(digest_size=8)
    for pictures in sets:
        for index in range(0, len(pictures), math.ceil(len(pictures) / COMPARED)):
            digest.update(pictures.digest(index))
    return digest.hexdigest()


# --- digests as numbers --------------------------------------------------------------------------

NONE = np.empty(0, np.uint64)


def _numbers(pictures: Pictures) -> np.ndarray | None:
    """The first 8 bytes of each picture's digest, in order; None where it takes too long."""
    stored = pictures.has_digests
    digests = _in_time(pictures.digest, len(pictures), PATIENCE) if stored else _of_items(pictures)
    whole = np.frombuffer(b"".join(digest[:8] for digest in digests), np.uint64)
    return whole if len(digests) == len(pictures) else None


def _of_items(pictures: Pictures) -> list[bytes]:
    """The digests of items; none where items change, cannot be read, or take too long."""

    def digest(index: int, seed: int = 0) -> bytes:
        with seeded(seed, index):
            return item_digest(pictures.read(index))

    try:
        changes = any(digest(i) != digest(i, 1) for i in range(min(len(pictures), TRIED)))
        return [] if changes else _in_time(digest, len(pictures), PATIENCE_WITH_ITEMS)
    except Exception:  # a Dataset may raise anything, and training says it better
        return []


def _in_time(digest: Callable[[int], bytes], count: int, seconds: float) -> list[bytes]:
    """All digests; none where the first ones took so long that all would take more than that."""
    digests: list[bytes] = []
    start = time.perf_counter()
    for index in range(count):
        digests.append(digest(index))
        if index in (TRIED, 50 * TRIED):
            spent = time.perf_counter() - start
            if spent / (index + 1) * count > seconds:
                return []
    return digests
