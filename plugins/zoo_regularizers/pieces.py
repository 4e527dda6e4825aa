"""Long lists of tensors, some at a time: few launches on a GPU, cached memory on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

Lists = tuple[list[Tensor], ...]

BLOCK = 2**18  # numbers: a megabyte of float32


def pieces(*lists: Sequence[Tensor], parts: int = 4) -> Iterator[Lists]:
    """Lists of equal length, side by side, cut into pieces of one device and dtype.

    On a CPU a piece is a block of one tensor, which stays in the cache from one operation to the
    next. On a GPU it is about one of `parts` equal parts, so that what is computed on the way takes
    no more memory than that, in few launches.
    """
    for rows in _alike(zip(*lists, strict=True)):
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


def _alike(rows: Iterable[tuple[Tensor, ...]]) -> Iterator[list[tuple[Tensor, ...]]]:
    groups: dict[object, list[tuple[Tensor, ...]]] = {}
    for row in rows:
        groups.setdefault((row[0].device, row[0].dtype), []).append(row)
    return iter(groups.values())


def _columns(rows: list[tuple[Tensor, ...]]) -> Lists:
    return tuple(list(column) for column in zip(*rows, strict=True))
