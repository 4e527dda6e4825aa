"""Batches: the order of samples, and the processes that read them."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from zoo_core.data.balance import balanced_order
from zoo_core.data.reader import Told
from zoo_core.data.readers import ENDED, Readers
from zoo_core.data.room import with_room
from zoo_core.data.samples import Key, Samples, seeded


class Part(NamedTuple):
    """What one process takes of a batch.

    `share`: its weight in the mean over processes, so that this is the mean over the batch: 1 on
    one process, 0 where there are fewer samples than processes.
    """

    indices: Tensor
    share: float


class Order(Sampler[list[Key]]):
    """Batches of (epoch, index): shuffled by (seed, epoch), or in order.

    `epoch` is set before each pass, and `start` to the number of batches to leave out. `balance`:
    draw each class equally often, with replacement. `rank` of `world` processes takes its part.

    No shuffled pass ends with a batch of one picture: it has a second one from the batch before.
    Normalisation over a batch has nothing to go by in one picture, and a step on it is all noise.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int | None,
        rank: int = 0,
        world: int = 1,
        balance: Sequence[int] | None = None,
    ) -> None:
        self.size, self.batch_size, self.seed, self.balance = size, batch_size, seed, balance
        self.rank, self.world = rank, world
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for part in self.parts():
            yield [(self.epoch, index) for index in part.indices.tolist()]

    def parts(self) -> Iterator[Part]:
        """What this process takes of each batch of the epoch, from `start` on."""
        for batch in self._order().split(self.sizes())[self.start :]:
            most = math.ceil(len(batch) / self.world)
            own = batch[self.rank * most : (self.rank + 1) * most]
            if len(own):
                yield Part(own, len(own) * self.world / len(batch))
            else:
                yield Part(batch[:1], 0.0)

    def sizes(self) -> list[int]:
        """How many samples each batch has."""
        whole, rest = divmod(self.size, self.batch_size)
        sizes = [self.batch_size] * whole + ([rest] if rest else [])
        if rest == 1 and whole and self.batch_size > 2 and self.seed is not None:
            sizes[-2:] = [self.batch_size - 1, 2]
        return sizes

    def _order(self) -> Tensor:
        if self.seed is None:
            return torch.arange(self.size)
        generator = torch.Generator().manual_seed(seeded(self.seed, self.epoch).seed)
        if self.balance is not None:
            return balanced_order(self.balance, self.size, generator)
        return torch.randperm(self.size, generator=generator)


class Batch(NamedTuple):
    """Samples (N, …), their targets, where they are in the data, and the share of `Part`."""

    x: Tensor
    y: Tensor
    indices: Tensor
    share: float


Say = Callable[[str], None]


class Feed:
    """The batches of an epoch: out of memory where samples are held, else from a DataLoader.

    `say`: takes a line where fewer processes read than were asked for. `most`: how many can share
    the work, evenly; any number by default. `waiting`: called each
    second in which no batch comes from them; what it raises ends the pass.
    """

    waiting: Callable[[], None] | None = None

    def __init__(
        self,
        samples: Samples,
        order: Order,
        workers: int | str,
        say: Say | None = None,
        most: int | None = None,
    ) -> None:
        self.samples, self.order = samples, order
        self.loader = None if samples.hold() else _loader(samples, order, workers, say, most)

    @property
    def workers(self) -> int:
        """How many processes read pictures; none where they are in memory."""
        return self.loader.num_workers if self.loader is not None else 0

    def __len__(self) -> int:
        return len(self.order)

    def close(self) -> None:
        """End the processes that read pictures; the next pass starts new ones."""
        if self.loader is not None:
            self.loader.close()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch (from 1), or those from `start` on."""
        self.order.epoch, self.order.start = epoch, start
        samples, parts = self.samples, self.order.parts()
        if self.loader is None:
            for indices, share in parts:
                x = samples.rows(epoch, indices)
                yield Batch(x, samples.targets[indices], indices, share)
        else:
            for (x, y), (indices, share) in zip(self.read(), parts, strict=True):
                yield Batch(x, y, indices, share)

    def read(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What the processes read, in the order of the epoch that is set."""
        assert self.loader is not None
        self.loader.waiting = self.waiting
        return _read(self.loader)


def _read(loader: Readers) -> Iterator[tuple[Tensor, Tensor]]:
    """Its batches. What waits for a reader that was ended sees a broken pipe first."""
    try:
        yield from loader
    except (OSError, EOFError) as error:
        for reader in getattr(loader._iterator, "_workers", ()):
            reader.join(1)  # torch is told of its end meanwhile, and raises
            if reader.exitcode is not None:
                raise RuntimeError(f"{ENDED} (pid {reader.pid}) was ended") from error
        raise


def loader(
    samples: Samples, batch_size: int, *, shuffle: bool, workers: int | str, say: Say | None = None
) -> Readers:
    """A DataLoader of whole batches, made in this process where samples are held in memory."""
    in_memory = samples.hold()
    order = Order(len(samples), batch_size, seed=samples.seed if shuffle else None)
    return _loader(samples, order, 0 if in_memory and workers == "auto" else workers, say)


def _loader(
    samples: Samples,
    order: Order | Given,
    workers: int | str,
    say: Say | None,
    most: int | None = None,
) -> Readers:
    """`most`: processes that can be of use, each with as many pieces of every batch."""
    count = worker_count(sum(order.sizes()), workers)
    if most is not None and count:
        count = max(each for each in range(1, most + 1) if each <= count and most % each == 0)
    if count:
        count, why = with_room(count, lambda: samples.nbytes * max(order.sizes()))
        if why and say is not None:
            say(why)
    return Readers(
        Told(samples) if count else samples,
        batch_sampler=order,
        collate_fn=_as_is,
        num_workers=count,
        persistent_workers=count > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the global one is the training's own
    )


class Given(Sampler[list[Key]]):
    """Batches of keys (epoch, index) that are given, in their order."""

    def __init__(self, batches: Sequence[list[Key]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)

    def sizes(self) -> list[int]:
        """How many samples each batch has."""
        return [len(batch) for batch in self.batches]


def reading(
    samples: Samples, given: Given, workers: int | str, say: Say | None = None
) -> Generator[tuple[Tensor, Any], None, None]:
    """The batches that are given, each read once; none of them stays in memory."""
    loader = _loader(samples, given, workers, say) if len(given) else None
    if loader is not None:
        with contextlib.closing(loader):
            yield from _read(loader)


def _as_is(batch: Any) -> Any:
    return batch


def worker_count(size: int, workers: int | str) -> int:
    """How many processes read `size` pictures.

    "auto": they pay from about a thousand pictures on, since they cost time to start.
    """
    if workers != "auto":
        return int(workers)
    return 0 if size < 1000 else min(os.cpu_count() or 1, 8)
