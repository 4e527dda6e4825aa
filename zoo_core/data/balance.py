"""Classes of unequal size: weights for the loss, or an order that draws all classes alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import DataError


def class_weights(counts: Sequence[int]) -> Tensor:
    """What a picture of each class weighs, so that all classes weigh the same (King & Zeng, 2001).

    `counts`: pictures of each class. Returns float32 (C,): N / (C n_c), which is 1 on average over
    the pictures; 0 for a class without pictures, which C leaves out. Raises DataError where no
    class has any.

    >>> class_weights([30, 10])
    tensor([0.6667, 2.0000])
    """
    sizes = torch.tensor(counts, dtype=torch.float64)
    present = sizes > 0
    if not present.any():
        raise DataError("No class has a picture, so there is nothing to weigh.")
    weights = torch.zeros_like(sizes)
    weights[present] = sizes.sum() / (present.sum() * sizes[present])
    return weights.float()


def picture_weights(targets: Tensor) -> Tensor:
    """How often `balanced_order` draws each picture, as a multiple of the mean: float64 (N,).

    `targets`: class numbers (N,), or 0 and 1 (N, C) for several labels.

    >>> picture_weights(torch.tensor([0, 0, 0, 1]))
    tensor([0.6667, 0.6667, 0.6667, 2.0000], dtype=torch.float64)
    """
    if targets.ndim == 1:
        sizes = targets.bincount().double()
        weights = 1 / sizes[targets]
    else:
        without = (targets.amax(1) == 0).double()
        pools = torch.cat([targets.double(), without[:, None]], 1)
        sizes = pools.sum(0)
        weights = pools @ torch.where(sizes > 0, 1 / sizes.clamp(min=1), 0.0)
    return weights * len(targets) / (sizes > 0).sum()


def balanced_order(targets: Sequence[Any], size: int, generator: torch.Generator) -> Tensor:
    """Indices of `size` pictures, drawn with replacement so that every class is as likely.

    `targets`: class numbers, or tuples of them; pictures without any class are then one more class.
    A class is drawn first, then one of its pictures, each as likely. Returns int64 (size,) on the
    CPU. Raises DataError where there are no pictures.

    >>> order = balanced_order([0] * 90 + [1] * 10, 1000, torch.Generator().manual_seed(0))
    >>> bool(400 < (order >= 90).sum() < 600)
    True
    """
    pools = indices_by_class(targets)
    if not pools:
        raise DataError("There are no pictures to draw from.")
    flat = torch.tensor([index for pool in pools.values() for index in pool])
    sizes = torch.tensor([len(pool) for pool in pools.values()])
    starts = sizes.cumsum(0) - sizes
    drawn = torch.randint(len(sizes), (size,), generator=generator)
    within = torch.rand(size, generator=generator, dtype=torch.float64) * sizes[drawn]
    return flat[starts[drawn] + within.long()]


def indices_by_class(targets: Sequence[Any]) -> dict[int, list[int]]:
    """The indices of each class, by class number; -1 is for pictures without any.

    >>> indices_by_class([(0, 1), (), (1,)])
    {-1: [1], 0: [0], 1: [0, 2]}
    """
    by_class: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        numbers = target if isinstance(target, tuple) else (target,)
        for number in numbers or (-1,):
            by_class.setdefault(number, []).append(index)
    return dict(sorted(by_class.items()))
