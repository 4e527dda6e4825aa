"""Classes that are each other's mirror image, such as arrows to the left and to the right.

By name, where one says left and another right in its place. By sight, where the mirror images of
each class lie as near to the other class as its own pictures do, or far nearer than to their own:
histograms of gradients (Dalal and Triggs, 2005) of small grey thumbnails, by nearest neighbours.
All of the bounds are strict, since what is missed is only trained as pictures are by default.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zoo_core.data.balance import indices_by_class
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import seeded
from zoo_core.data.transforms import in_mode

MOST, FEWEST = 32, 6  # pictures of a class that are looked at
LOOKED_AT = 4096  # pictures of all classes, so that many classes cost no more than a few do
SIDE, CELLS, ANGLES = 32, 4, 8

AGREED = 0.9  # the share of a class that has to be nearer to the other, mirrored; and is not, as is
NEAR = 1.25  # how far mirrored pictures may be from the other class, as a multiple of its own gaps
CLOSER = 0.4  # or, of pictures that are near copies, of the distance to their own class

_HAND = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)


class Mirrors(NamedTuple):
    """Two classes, by number, whose pictures turn into each other's in a mirror."""

    one: int
    other: int


def mirrored_classes(pictures: Pictures) -> list[Mirrors]:
    """The classes that are each other's mirror image, in the order of their numbers.

    Of up to 32 pictures of each class, and up to 4,096 in all; tensors are not looked at. Raises
    DataError for a picture that cannot be read.
    """
    named = set(_by_name(pictures.classes or ()))
    return sorted(named if pictures.multilabel else named | set(_by_sight(pictures)))


def _by_name(classes: Sequence[str]) -> Iterator[Mirrors]:
    """
    >>> list(_by_name(["turn_left", "stop", "turn_right", "upright"]))
    [Mirrors(one=0, other=2)]
    """
    numbers = {name.casefold(): number for number, name in enumerate(classes)}
    swap = {"left": "right", "right": "left"}
    for number, name in enumerate(classes):
        twin = numbers.get(_HAND.sub(lambda hand: swap[hand[0]], name.casefold()), number)
        if number < twin:
            yield Mirrors(number, twin)


def _by_sight(pictures: Pictures) -> list[Mirrors]:
    pools = {c: pool for c, pool in indices_by_class(pictures.targets).items() if c >= 0}
    each = min(MOST, LOOKED_AT // max(len(pools), 1))
    chosen = {c: _spread(pool, each) for c, pool in pools.items() if len(pool) >= FEWEST}
    if len(chosen) < 2 or each < FEWEST:
        return []
    looks = [_thumbnail(pictures, i) for pool in chosen.values() for i in pool]
    if any(look is None for look in looks):
        return []
    thumbnails = torch.stack([look for look in looks if look is not None])
    labels = torch.tensor([k for k, pool in enumerate(chosen.values()) for _ in pool])
    numbers = list(chosen)
    return [Mirrors(numbers[a], numbers[b]) for a, b in _swapped(thumbnails, labels)]


def _spread(pool: list[int], count: int) -> list[int]:
    """So many of them, evenly."""
    return [pool[i * len(pool) // count] for i in range(count)] if len(pool) > count else pool


def _thumbnail(pictures: Pictures, index: int) -> Tensor | None:
    """A picture in grey (32, 32); None for what counts as preprocessed."""
    mine = contextlib.nullcontext() if pictures.fixed else seeded(0, index)
    with mine:  # a dataset of one's own may draw
        picture: Any = pictures.read(index)
    if not isinstance(picture, Image.Image):
        return None
    small = in_mode(picture, "L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small, dtype=np.float32))


def _swapped(thumbnails: Tensor, labels: Tensor) -> list[tuple[int, int]]:
    """The pairs of labels whose pictures (N, 32, 32) a mirror swaps."""
    looks, mirrored = gradients(thumbnails), gradients(thumbnails.flip(-1))
    count = int(labels.max()) + 1
    across = _nearest(mirrored, looks, labels, count)
    alike = _nearest(looks, looks, labels, count, itself=False)
    own = functional.one_hot(labels, count).bool()
    gaps = torch.stack([alike[labels == c, c].median() for c in range(count)])

    turned = _share(across < across[own][:, None], labels, count)
    told_apart = _share(alike[own][:, None] < alike, labels, count)
    typical = torch.stack([across[labels == c].median(0).values for c in range(count)])
    fits = (typical <= NEAR * gaps) | (typical <= CLOSER * typical.diagonal()[:, None])
    both = (turned >= AGREED) & (told_apart >= AGREED) & fits
    return [(a, b) for a, b in (both & both.T).nonzero().tolist() if a < b]


def _share(of: Tensor, labels: Tensor, count: int) -> Tensor:
    return torch.stack([of[labels == c].float().mean(0) for c in range(count)])


def _nearest(
    ours: Tensor, theirs: Tensor, labels: Tensor, count: int, *, itself: bool = True
) -> Tensor:
    """From each of `ours` (N, D) to the nearest of `theirs` in each class (N, C)."""
    distances = torch.cdist(ours, theirs)
    if not itself:
        distances.fill_diagonal_(torch.inf)
    nearest = torch.full((len(ours), count), torch.inf)
    return nearest.scatter_reduce(1, labels.expand_as(distances), distances, "amin")


def gradients(grey: Tensor) -> Tensor:
    """What thumbnails (N, 32, 32) look like: directions of their edges in 4x4 cells (N, 128).

    Neither brightness nor contrast counts.
    """
    down, right = torch.gradient(grey, dim=(1, 2))
    angle = torch.atan2(down, right) / (2 * torch.pi) * ANGLES
    below = angle.floor()
    weights = torch.hypot(down, right)[..., None]
    share = (angle - below)[..., None]
    first, second = (
        functional.one_hot(a.long() % ANGLES, ANGLES) * weights for a in (below, below + 1)
    )
    by_angle = (first * (1 - share) + second * share).permute(0, 3, 1, 2)
    blurred = functional.avg_pool2d(by_angle, 3, stride=1, padding=1)
    cells = functional.adaptive_avg_pool2d(blurred, CELLS).sqrt()
    return functional.normalize(cells.flatten(1), dim=1)
