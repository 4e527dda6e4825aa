"""Long lists of tensors, some at a time: few launches on a GPU, cached memory on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from torch import Tensor

from zoo_core.transfer.sharded import own_parts

T = TypeVar("T")

Lists = tuple[list[Tensor], ...]

BLOCK = 2**18  # numbers: a megabyte of float32


def pieces(*lists: Sequence[Tensor], parts: int = 4) -> Iterator[Lists]:
    """Lists of equal length, side by side, cut into pieces of one device and dtype.

    Of tensors that several processes share, it is the part that this one has.

    On a CPU a piece is a block of one tensor, which stays in the cache from one operation to the
    next. On a GPU it is about one of `parts` equal parts, so that what is computed on the way takes
    no more memory than that, in few launches.
    """
    own = map(own_parts, lists)
    for rows in grouped(zip(*own, strict=True), lambda row: (row[0].device, row[0].dtype)):
        if rows[0][0].device.type == "cpu":
            for row in rows:
                yield from _blocks(row)
            continue
        most, size, piece = sum(row[0].numel() for row in rows) / parts, 0, []
        for row in rows:
            piece.append(row)
            size += row[0].numel()
            if size >= most:
                yield _columns(piece)
                size, piece = 0, []
        if piece:
            yield _columns(piece)


def _blocks(row: tuple[Tensor, ...]) -> Iterator[Lists]:
    """The numbers of tensors side by side, a block of each at a time."""
    if all(tensor.is_contiguous() for tensor in row):
        blocks = (tensor.detach().view(-1).split(BLOCK) for tensor in row)
        yield from (tuple([block] for block in side) for side in zip(*blocks, strict=True))
    else:
        yield tuple([tensor] for tensor in row)


def with_gradients(*lists: Iterable[Tensor]) -> tuple[list[Tensor], ...]:
    """The gradients of the weights in the first list, then the lists, without those that have none.

    Weights that took no part in the loss are left out everywhere.
    """
    rows = [row for row in zip(*lists, strict=True) if row[0].grad is not None]
    gradients = [row[0].grad for row in rows]
    columns = [[row[i].detach() for row in rows] for i in range(len(lists))]
    return gradients, *columns


def grouped(items: Iterable[T], key: Callable[[T], object]) -> list[list[T]]:
    """Items by what `key` gives, in the order in which they come.

    >>> grouped([1, 2, 3, 4], lambda number: number % 2)
    [[1, 3], [2, 4]]
    """
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _columns(rows: list[tuple[Tensor, ...]]) -> Lists:
    return tuple(list(column) for column in zip(*rows, strict=True))
