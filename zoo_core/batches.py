"""Pictures -> batches of tensors.

What a sample looks like depends on (seed, epoch, index), or on (seed, view, index) where there are
fixed views, and on nothing else: not on the process that made it, nor on what came before it. Which
samples are in a batch depends on (seed, epoch) alone; several processes share each batch.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from zoo_core.balance import balanced_order
from zoo_core.data import Pictures
from zoo_core.errors import DataError

# Preprocessed pictures up to this size stay in memory, so that an epoch costs no decoding.
MEMORY = 256 * 2**20

Key = tuple[int, int]


class Samples(Dataset[Any]):
    """Preprocessed samples by (epoch, index).

    `random`: whether the transform draws random numbers. `views`: how many different samples there
    are of a picture, where they are not new in each epoch.
    """

    views = 1

    def __init__(
        self, pictures: Pictures, transform: Callable[[Any], Tensor], *, random: bool, seed: int
    ) -> None:
        self.pictures, self.transform, self.random, self.seed = pictures, transform, random, seed
        self.held: Tensor | None = None
        self.targets = pictures.target_tensor()

    def __len__(self) -> int:
        return len(self.pictures)

    def hold(self) -> bool:
        """Keep everything preprocessed, where that can be.

        Returns whether it is held.
        """
        if self.held is None and self.can_be_held:
            keys = ((view, i) for view in range(1, self.views + 1) for i in range(len(self)))
            self.held = _stack([self.sample(*key) for key in keys])
        return self.held is not None

    @functools.cached_property
    def can_be_held(self) -> bool:
        """Whether nothing is random, and all fits in memory."""
        if self.random or not self.pictures.fixed:
            return False
        first = self.sample(1, 0)
        return first.numel() * first.element_size() * len(self) * self.views <= MEMORY

    @functools.cached_property
    def fingerprint(self) -> str:
        """What identifies the pictures; it takes reading them."""
        return self.pictures.fingerprint()

    def view(self, epoch: int) -> int:
        """Which of the fixed views an epoch shows."""
        return (epoch - 1) % self.views

    def rows(self, epoch: int, indices: Tensor) -> Tensor:
        """The samples at `indices` (N,) out of those that are held."""
        assert self.held is not None
        places = indices + self.view(epoch) * len(self)
        return self.held.index_select(0, places.to(self.held.device, non_blocking=True))

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """A whole batch at once, which DataLoader asks for."""
        indices = torch.tensor([index for _, index in keys])
        if self.held is not None:
            return self.rows(keys[0][0], indices), self.targets[indices]
        return _stack([self.sample(*key) for key in keys]), self.targets[indices]

    def __getitem__(self, key: Key) -> Any:
        return self.__getitems__([key])

    def sample(self, epoch: int, index: int) -> Tensor:
        """One preprocessed sample."""
        if self.pictures.fixed and not self.random:
            return self.read(index, self.transform)
        with seeded(self.seed, epoch, index):
            return self.read(index, self.transform)

    def read(self, index: int, transform: Callable[[Any], Tensor]) -> Tensor:
        """The picture at `index`, transformed; a tensor counts as preprocessed."""
        item = self.pictures.read(index)
        return item if isinstance(item, Tensor) else transform(item)


class FixedViews(Samples):
    """The same few views of each picture, in turn by epoch, so that they can be computed once.

    The first is what evaluation sees, the second its exact mirror image where `mirrors`, the others
    are random crops and flips. `plain`: the transform of evaluation.
    """

    def __init__(
        self,
        pictures: Pictures,
        transform: Callable[[Any], Tensor],
        *,
        seed: int,
        views: int,
        plain: Callable[[Any], Tensor],
        mirrors: bool,
    ) -> None:
        super().__init__(pictures, transform, random=False, seed=seed)
        self.views, self.plain, self.mirrors = views, plain, mirrors

    def sample(self, epoch: int, index: int) -> Tensor:
        view = self.view(epoch)
        with seeded(self.seed, view, index):
            if view == 0:
                return self.read(index, self.plain)
            if view == 1 and self.mirrors:
                return self.read(index, self.plain).flip(-1)
            return self.read(index, self.transform)


def _stack(tensors: list[Tensor]) -> Tensor:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"The tensors of this data have different shapes: {some}.")
    return torch.stack(tensors)


class seeded:
    """Random numbers inside depend on the given numbers alone.

    Outside they go on as if nothing had happened.
    """

    def __init__(self, *numbers: int) -> None:
        digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
        self.seed = int.from_bytes(digest) >> 1

    def __enter__(self) -> None:
        self.state = torch.get_rng_state(), random.getstate()
        torch.random.default_generator.manual_seed(self.seed)
        random.seed(self.seed)

    def __exit__(self, *error: Any) -> None:
        torch.set_rng_state(self.state[0])
        random.setstate(self.state[1])


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
        for batch in self._order().split(self.batch_size)[self.start :]:
            most = math.ceil(len(batch) / self.world)
            own = batch[self.rank * most : (self.rank + 1) * most]
            if len(own):
                yield Part(own, len(own) * self.world / len(batch))
            else:
                yield Part(batch[:1], 0.0)

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


class Feed:
    """The batches of an epoch: out of memory where samples are held, else from a DataLoader."""

    def __init__(self, samples: Samples, order: Order, workers: int | str) -> None:
        self.samples, self.order = samples, order
        self.loader = None if samples.hold() else _loader(samples, order, workers)

    @property
    def workers(self) -> int:
        """How many processes read pictures; none where they are in memory."""
        return self.loader.num_workers if self.loader is not None else 0

    def __len__(self) -> int:
        return len(self.order)

    def close(self) -> None:
        """End the processes that read pictures, where there are some; there are no more batches.

        When it is the garbage collector that ends them, it waits 5 seconds for each: it may have
        taken the queue away by which they would hear of it.
        """
        self.loader = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch (from 1), or those from `start` on."""
        self.order.epoch, self.order.start = epoch, start
        samples, parts = self.samples, self.order.parts()
        if self.loader is None:
            for indices, share in parts:
                x = samples.rows(epoch, indices)
                yield Batch(x, samples.targets[indices], indices, share)
        else:
            for (x, y), (indices, share) in zip(_read(self.loader), parts, strict=True):
                yield Batch(x, y, indices, share)


def _read(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Its batches. What waits for a reader that was ended sees a broken pipe first."""
    try:
        yield from loader
    except (OSError, EOFError) as error:
        for reader in getattr(loader._iterator, "_workers", ()):
            reader.join(1)  # torch is told of its end meanwhile, and raises
            if reader.exitcode is not None:
                raise RuntimeError(f"{ENDED} (pid {reader.pid}) was ended") from error
        raise


ENDED = "DataLoader worker"  # so torch begins


@contextlib.contextmanager
def readers_watched() -> Iterator[None]:
    """Raises DataError where a process that reads pictures was ended.

    torch raises its error wherever this process happens to be then.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(ENDED):
            raise
        raise DataError(
            f"A process that reads pictures was ended: {' '.join(str(error).split()).rstrip('.')}.",
            hint="Where memory is short, take fewer: workers=1, or 0 for none (--workers).",
        ) from error


def loader(
    samples: Samples, batch_size: int, *, shuffle: bool, workers: int | str
) -> DataLoader[Any]:
    """A DataLoader of whole batches, made in this process where samples are held in memory."""
    held = samples.hold()
    order = Order(len(samples), batch_size, seed=samples.seed if shuffle else None)
    return _loader(samples, order, 0 if held and workers == "auto" else workers)


def _loader(samples: Samples, order: Order, workers: int | str) -> DataLoader[Any]:
    count = worker_count(len(samples), workers)
    return DataLoader(
        samples,
        batch_sampler=order,
        collate_fn=_as_is,
        num_workers=count,
        persistent_workers=count > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_deaf,
        generator=torch.Generator(),  # the global one is the training's own
    )


def _deaf(worker: int) -> None:
    """Readers outlive Ctrl-C and SIGTERM, which go to all processes: training ends them itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _as_is(batch: Any) -> Any:
    return batch


def worker_count(size: int, workers: int | str) -> int:
    """How many processes read `size` pictures.

    "auto": they pay from about a thousand pictures on, since they cost time to start.
    """
    if workers != "auto":
        return int(workers)
    return 0 if size < 1000 else min(os.cpu_count() or 1, 8)
