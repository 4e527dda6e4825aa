"""Pictures -> batches of tensors.

What a sample looks like depends on (seed, epoch, index), or on (seed, view, index) where there are
fixed views, and on nothing else: not on the process that made it, nor on what came before it. Which
samples are in a batch depends on (seed, epoch) alone; several processes share each batch.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo_core.data.as_picture import as_picture
from zoo_core.data.pictures import Pictures
from zoo_core.data.reader import count_a_picture
from zoo_core.errors import DataError

# Preprocessed pictures up to this size stay in memory, so that an epoch costs no decoding.
MEMORY = 256 * 2**20

Key = tuple[int, int]
NONE = torch.empty(0, dtype=torch.int64)


class Samples(Dataset[Any]):
    """Preprocessed samples by (epoch, index).

    `random`: whether the transform draws random numbers. `views`: how many different samples there
    are of a picture, where they are not new in each epoch. `witnessed`: where somebody needs to
    know which bytes samples were made of, the digests of those that were read here, by index; a
    batch then has them in the place of targets. `held`: all samples in memory, or whatever gives
    rows by `index_select` in their place; None where they are read.
    """

    views = 1

    def __init__(
        self, pictures: Pictures, transform: Callable[[Any], Tensor], *, random: bool, seed: int
    ) -> None:
        self.pictures, self.transform, self.random, self.seed = pictures, transform, random, seed
        self.held: Any = None
        self.witnessed: dict[int, bytes] | None = None
        self.targets = NONE if pictures.streamed else pictures.target_tensor()

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
        if self.random or not self.pictures.fixed or self.pictures.streamed:
            return False
        return self.nbytes * len(self) * self.views <= MEMORY

    @functools.cached_property
    def nbytes(self) -> int:
        """How many bytes a sample takes: the first one."""
        return self.sample(1, 0).nbytes

    def view(self, epoch: int) -> int:
        """Which of the fixed views an epoch shows."""
        return (epoch - 1) % self.views

    def which(self, view: int, index: int) -> str:
        """What a view of a picture depends on besides the picture; "" for what evaluation sees."""
        return ""

    def rows(self, epoch: int, indices: Tensor) -> Tensor:
        """The samples at `indices` (N,) out of those that are held."""
        places = indices + self.view(epoch) * len(self)
        rows: Tensor = self.held.index_select(0, places.to(self.held.device, non_blocking=True))
        return rows

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Any]:
        """A whole batch at once, which DataLoader asks for."""
        indices = torch.tensor([index for _, index in keys])
        if self.held is not None:
            return self.rows(keys[0][0], indices), self.targets[indices]
        if self.pictures.streamed:
            return self._streamed(keys)
        x = _stack([self.sample(*key) for key in keys])
        if self.witnessed is not None:
            return x, {index: self.witnessed[index] for _, index in keys}
        return x, self.targets[indices]

    def _streamed(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """A batch whose classes are known once its pictures are read."""
        target = self.pictures.target  # type: ignore[attr-defined]
        pairs = [(self.sample(*key), target(key[1])) for key in keys]
        return _stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])

    def __getitem__(self, key: Key) -> Any:
        return self.__getitems__([key])

    def sample(self, epoch: int, index: int) -> Tensor:
        """One preprocessed sample."""
        if self.pictures.fixed and not self.random:
            return self.read(index, self.transform)
        with seeded(self.seed, epoch, index, numpy=not self.pictures.fixed):
            return self.read(index, self.transform)

    def read(self, index: int, transform: Callable[[Any], Tensor]) -> Tensor:
        """The picture at `index`, transformed; a floating tensor counts as preprocessed."""
        if self.witnessed is None:
            return self._made(self.pictures.read(index), index, transform)
        return self._made(self._read_with_digest(index)[0], index, transform)

    def _made(self, item: Any, index: int, transform: Callable[[Any], Tensor]) -> Tensor:
        picture = as_picture(item, f"Item {index} of {self.pictures.name}")
        made = picture if isinstance(picture, Tensor) else transform(picture)
        count_a_picture()
        return made

    def _read_with_digest(self, index: int) -> tuple[Any, bytes]:
        item, digest = self.pictures.read_with_digest(index)
        if self.witnessed is not None:
            add_digests(self.witnessed, {index: digest})
        return item, digest


class FixedViews(Samples):
    """The same few views of each picture, in turn by epoch, so that they can be computed once.

    The first is what evaluation sees, the second its exact mirror image where `mirrors`, the others
    are random crops and flips, which follow the content of a picture where it is known without
    decoding, so that they stay what they are when pictures come and go. `plain`: the transform of
    evaluation.
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
        if not self.pictures.has_digests:
            with seeded(self.seed, view, index, numpy=not self.pictures.fixed):
                return self._view(self.read(index, self._transform(view)), view)
        item, digest = self._read_with_digest(index)
        with seeded(self.seed, view, int.from_bytes(digest)):
            return self._view(self._made(item, index, self._transform(view)), view)

    def which(self, view: int, index: int) -> str:
        if view == 0:
            return ""
        if view == 1 and self.mirrors:
            return "mirrored"
        place = "" if self.pictures.has_digests else f" {index}"
        return f"{self.seed} {view} {self.mirrors}{place}"

    def _transform(self, view: int) -> Callable[[Any], Tensor]:
        plain = view == 0 or (view == 1 and self.mirrors)
        return self.plain if plain else self.transform

    def _view(self, made: Tensor, view: int) -> Tensor:
        return made.flip(-1) if view == 1 and self.mirrors else made


def add_digests(known: dict[int, bytes], more: Mapping[int, bytes]) -> None:
    """Add digests by index; a picture that has had two of them has none that is true."""
    for index, digest in more.items():
        known[index] = digest if known.get(index, digest) == digest else b""


def _stack(tensors: list[Tensor]) -> Tensor:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"The tensors of this data have different shapes: {some}.")
    return torch.stack(tensors)


class seeded:
    """Random numbers inside depend on what is given alone: numbers, or the name of a picture.

    Outside they go on as if nothing had happened. They are torch's and Python's, and with `numpy`
    those of its global generator, which takes longer.
    """

    def __init__(self, *numbers: int | str, numpy: bool = False) -> None:
        self.numpy = numpy
        digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
        self.seed = int.from_bytes(digest) >> 1

    def __enter__(self) -> None:
        self.state = torch.get_rng_state(), random.getstate()
        torch.random.default_generator.manual_seed(self.seed)
        random.seed(self.seed)
        if self.numpy:
            self.numpy_state = np.random.get_state()
            np.random.seed(self.seed % 2**32)

    def __exit__(self, *error: Any) -> None:
        torch.set_rng_state(self.state[0])
        random.setstate(self.state[1])
        if self.numpy:
            np.random.set_state(self.numpy_state)
