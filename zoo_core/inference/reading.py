"""Pictures -> batches of input tensors for a model, read and transformed in threads."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.decoding import read_picture
from zoo_core.errors import DataError
from zoo_core.humanize import printable
from zoo_core.inference.inputs import Picture
from zoo_core.model.zoo_model import ZooModel

READERS = min(os.cpu_count() or 1, 8)  # threads: decoding and resizing let go of Python's lock


Batches = Iterator[tuple[list[str], Tensor]]
"""The names of pictures, and what the model wants to see of them: (N, C, H, W)."""


@contextlib.contextmanager
def reading(
    pictures: Iterable[Picture],
    model: ZooModel,
    batch_size: int,
    faults: list[str] | None = None,
    bits: int | None = None,
) -> Iterator[Batches]:
    """Batches of the pictures in order; all but the last of `batch_size`.

    A file's name is its path, another picture's its place among all. `bits`: how many are used of
    pixels that have more than 8, where a file does not say it. What cannot be read is added
    to `faults` and left out; without `faults` it is raised as a DataError, as are tensors of
    different shapes.

    A context, so that the threads end here. A generator that nobody reads to its end may be closed
    by any thread: by one of its own, in the middle of an import, it would wait for ever.
    """
    pool = ThreadPoolExecutor(READERS)
    try:
        ready = _transformed(pool, pictures, model.transform(), 2 * batch_size, bits)
        yield _batches(_usable(ready, faults), batch_size)
    finally:
        pool.shutdown(cancel_futures=True)


Ready = tuple[str, Tensor | DataError]
"""The name of a picture, and what the model wants to see, or why it cannot be read."""


def _transformed(
    pool: ThreadPoolExecutor,
    pictures: Iterable[Picture],
    transform: Callable[[Any], Tensor],
    ahead: int,
    bits: int | None,
) -> Iterator[Ready]:
    """The pictures in order, with `ahead` of them under way at once."""
    waiting: deque[tuple[str, Future[Tensor | DataError]]] = deque()
    for index, picture in enumerate(pictures):
        waiting.append((name_of(picture, index), pool.submit(_read, picture, transform, bits)))
        if len(waiting) > ahead:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def name_of(picture: Picture, index: int) -> str:
    """The path of a file, or the place of another picture among all."""
    return printable(picture) if isinstance(picture, Path) else str(index)


def _result(name: str, reading: Future[Tensor | DataError]) -> Ready:
    return name, reading.result()


def _read(
    picture: Picture, transform: Callable[[Any], Tensor], bits: int | None
) -> Tensor | DataError:
    if isinstance(picture, Tensor):
        return picture.cpu()
    try:
        return transform(read_picture(picture, bits) if isinstance(picture, Path) else picture)
    except DataError as error:
        return error


def _usable(ready: Iterator[Ready], faults: list[str] | None) -> Iterator[tuple[str, Tensor]]:
    for name, x in ready:
        if isinstance(x, Tensor):
            yield name, x
        elif faults is None:
            raise x
        else:
            faults.append(x.message)


def _batches(usable: Iterator[tuple[str, Tensor]], batch_size: int) -> Batches:
    while batch := list(itertools.islice(usable, batch_size)):
        yield [name for name, _ in batch], _stacked([x for _, x in batch])


def _stacked(tensors: list[Tensor]) -> Tensor:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"The preprocessed pictures have different shapes: {some}.")
    return torch.stack(tensors)
