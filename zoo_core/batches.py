"""Pictures -> batches of tensors.

What a sample looks like depends on (seed, epoch, index) and on nothing else: not on the worker
that made it, nor on what came before it.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from zoo_core.data import Pictures
from zoo_core.errors import DataError

# Preprocessed pictures up to this size stay in memory, so that an epoch costs no decoding.
MEMORY = 256 * 2**20

Key = tuple[int, int]
Batch = tuple[Tensor, Tensor]


class Samples(Dataset[Any]):
    """Preprocessed samples by (epoch, index).

    `random`: whether the transform draws random numbers.
    """

    def __init__(
        self, pictures: Pictures, transform: Callable[[Any], Tensor], *, random: bool, seed: int
    ) -> None:
        self.pictures, self.transform, self.random, self.seed = pictures, transform, random, seed
        self._held: Tensor | None = None
        self._targets = torch.tensor(pictures.targets)

    def __len__(self) -> int:
        return len(self.pictures)

    def hold(self) -> bool:
        """Keep everything preprocessed, where nothing is random and it fits in memory.

        Returns whether it is held.
        """
        if self.random or not self.pictures.fixed or self._held is not None:
            return self._held is not None
        first = self._sample((0, 0))
        if first.numel() * first.element_size() * len(self) <= MEMORY:
            rest = (self._sample((0, i)) for i in range(1, len(self)))
            self._held = _stack([first, *rest])
        return self._held is not None

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """A whole batch at once, which DataLoader asks for."""
        indices = [index for _, index in keys]
        targets = self._targets[indices]
        if self._held is not None:
            return self._held[indices], targets
        return _stack([self._sample(key) for key in keys]), targets

    def __getitem__(self, key: Key) -> Any:
        return self.__getitems__([key])

    def _sample(self, key: Key) -> Tensor:
        epoch, index = key
        if self.pictures.fixed and not self.random:
            return self._read(index)
        with seeded(self.seed, epoch, index):
            return self._read(index)

    def _read(self, index: int) -> Tensor:
        item = self.pictures.read(index)
        return item if isinstance(item, Tensor) else self.transform(item)


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


class Order(Sampler[list[Key]]):
    """Batches of (epoch, index): shuffled by (seed, epoch), or in order.

    `epoch` is set before each pass.
    """

    def __init__(self, size: int, batch_size: int, *, seed: int | None) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        order = list(range(self.size))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(seeded(self.seed, self.epoch).seed)
            order = torch.randperm(self.size, generator=generator).tolist()
        keys = [(self.epoch, index) for index in order]
        for start in range(0, self.size, self.batch_size):
            yield keys[start : start + self.batch_size]


def loader(
    samples: Samples, batch_size: int, *, shuffle: bool, workers: int | str
) -> DataLoader[Any]:
    """A DataLoader of whole batches, made in this process where samples are held in memory."""
    held = samples.hold()
    count = _workers(len(samples), held) if workers == "auto" else int(workers)
    order = Order(len(samples), batch_size, seed=samples.seed if shuffle else None)
    return DataLoader(
        samples,
        batch_sampler=order,
        collate_fn=_as_is,
        num_workers=count,
        persistent_workers=count > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Any) -> Any:
    return batch


def _workers(size: int, held: bool) -> int:
    """Worker processes pay from about a thousand pictures on: they cost time to start."""
    return 0 if held or size < 1000 else min(os.cpu_count() or 1, 8)
