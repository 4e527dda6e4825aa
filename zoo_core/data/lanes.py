"""The order of pictures that are streamed: groups of rows by chance, mixed in a buffer.

An epoch is all row groups in an order by (seed, epoch), one row after the other, cut into lanes of
equal length. Each batch has its share of every lane, and in a lane `WINDOW` rows at a time are
mixed. So which pictures are in a batch depends on (seed, epoch) alone, while a process, and each of
its readers, sees to lanes of its own: it reads their groups once an epoch, and no others, but for
one at an end of a lane, which two may share.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.data.loader import Batch, Feed, Order, Part, Say
from zoo_core.data.row_groups import RowGroups
from zoo_core.data.samples import Key, Samples, seeded

LANES = 8  # what several processes and readers share; with more processes, one for each
WINDOW = 256  # rows of a lane that are mixed: of all lanes, 2,048


class Lanes(Order):
    """Batches of a stream; each piece is the share of one lane in one batch.

    >>> groups = RowGroups([5] * 8, lambda group: None)
    >>> lanes = Lanes(groups, 8, seed=0)
    >>> lanes.epoch = 1
    >>> batches = [part.indices for part in lanes.parts()]
    >>> len(batches), sorted(torch.cat(batches).tolist()) == list(range(40))
    (5, True)
    """

    def __init__(
        self, groups: RowGroups, batch_size: int, *, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(len(groups), batch_size, seed=seed, rank=rank, world=world)
        self.sizes_of_groups = groups.sizes
        self.lanes = max(LANES, world)
        self.own = range(rank, self.lanes, world)

    def __iter__(self) -> Iterator[list[Key]]:
        for pieces in self._pieces():
            for piece in pieces:
                yield [(self.epoch, index) for index in piece.tolist()]

    def parts(self) -> Iterator[Part]:
        """What this process takes of each batch of the epoch, from `start` on."""
        sizes = self.sizes()[self.start :]
        for size, pieces in zip(sizes, self._pieces(), strict=True):
            own = torch.cat(pieces)
            alone = size <= self.rank  # no lane of this process has a row in this batch
            yield Part(own, 0.0 if alone else len(own) * self.world / size)

    def pieces(self) -> list[int]:
        """Of how many pieces each part is made."""
        return [max(self._used(size), 1) for size in self.sizes()[self.start :]]

    def _used(self, size: int) -> int:
        """How many own lanes have rows in a batch of that size."""
        return sum(lane < size for lane in self.own)

    def _pieces(self) -> Iterator[list[Tensor]]:
        """The rows of each own lane in each batch, from `start` on; of another where none has."""
        ends = self._ends()
        starts = torch.cat([ends.new_zeros(1, self.lanes), ends[:-1]])
        order = _Epoch(self, ends[-1].tolist())
        for number, size in enumerate(self.sizes()[self.start :], self.start):
            lanes = [lane for lane in self.own if lane < size]
            spans = [(lane, int(starts[number, lane]), int(ends[number, lane])) for lane in lanes]
            yield [order.rows(*span) for span in spans or [(0, *_first(starts, number))]]

    def _ends(self) -> Tensor:
        """Where each batch ends in each lane: (batches, lanes)."""
        sizes = torch.tensor(self.sizes())[:, None]
        each = sizes // self.lanes + (torch.arange(self.lanes) < sizes % self.lanes)
        return each.cumsum(0)


def _first(starts: Tensor, number: int) -> tuple[int, int]:
    start = int(starts[number, 0])
    return start, start + 1


class _Epoch:
    """The rows of an epoch, lane by lane. `lengths`: of the lanes."""

    def __init__(self, lanes: Lanes, lengths: list[int]) -> None:
        self.numbers = (lanes.seed or 0, lanes.epoch)
        generator = torch.Generator().manual_seed(seeded(*self.numbers).seed)
        sizes = lanes.sizes_of_groups
        self.groups = torch.randperm(len(sizes), generator=generator)
        self.ends = sizes[self.groups].cumsum(0)  # of each group in the order of the epoch
        self.firsts = (sizes.cumsum(0) - sizes)[self.groups]  # the first row of each
        self.lengths = lengths
        self.begins = [sum(lengths[:lane]) for lane in range(len(lengths))]
        self.mixed: dict[int, tuple[int, Tensor]] = {}

    def rows(self, lane: int, start: int, end: int) -> Tensor:
        """The rows from `start` to `end` of a lane."""
        found = []
        while start < end:
            window = start // WINDOW
            stop = min(end, (window + 1) * WINDOW)
            found.append(self._window(lane, window)[start % WINDOW :][: stop - start])
            start = stop
        return torch.cat(found)

    def _window(self, lane: int, window: int) -> Tensor:
        if self.mixed.get(lane, (-1,))[0] != window:
            self.mixed[lane] = window, self._mixed(lane, window)
        return self.mixed[lane][1]

    def _mixed(self, lane: int, window: int) -> Tensor:
        start = window * WINDOW
        count = min(WINDOW, self.lengths[lane] - start)
        generator = torch.Generator().manual_seed(seeded(*self.numbers, lane, window).seed)
        places = self.begins[lane] + start + torch.randperm(count, generator=generator)
        order = torch.searchsorted(self.ends, places, right=True)
        before = torch.cat([self.ends.new_zeros(1), self.ends])[order]
        return self.firsts[order] + places - before


class StreamFeed(Feed):
    """The batches of a stream: the pieces of each batch put together, as they come from readers."""

    order: Lanes

    def __init__(
        self, samples: Samples, order: Lanes, workers: int | str, say: Say | None = None
    ) -> None:
        super().__init__(samples, order, workers, say, most=len(order.own))
        rows: RowGroups = samples.pictures.rows  # type: ignore[attr-defined]
        lanes = -(-len(order.own) // max(self.workers, 1))
        rows.most = lanes * (WINDOW + 2 * int(rows.sizes.max()))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        self.order.epoch, self.order.start = epoch, start
        batches = self.read()
        for (indices, share), count in zip(self.order.parts(), self.order.pieces(), strict=True):
            pieces = [next(batches) for _ in range(count)]
            x, y = (torch.cat(tensors) for tensors in zip(*pieces, strict=True))
            yield Batch(x, y, indices, share)
        if next(batches, None) is not None:
            raise AssertionError("a stream that has more pieces than its order")
