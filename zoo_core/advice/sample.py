"""Some pictures of many: by seed, each class with its share, and none left out where there is room.

With several labels, a picture counts for the rarest of its own.
"""

from __future__ import annotations

from collections import Counter

import torch

from zoo_core.data.balance import indices_by_class
from zoo_core.data.pictures import Pictures

LEAST = 2  # pictures of a class, as far as it has them: one alone can be judged by no other


def sampled(pictures: Pictures, most: int, seed: int) -> Pictures:
    """All pictures, or `most` of them, in their order.

    Each class has its share, and two pictures at least where `most` has room for that.

    >>> many = Pictures("own", str, [0] * 90 + [1] * 9 + [2], None)
    >>> sampled(many, 20, seed=0).class_counts()
    [17, 2, 1]
    """
    if len(pictures) <= most:
        return pictures
    sizes = {number: len(own) for number, own in indices_by_class(pictures.targets).items()}
    rarest = [_rarest(target, sizes) for target in pictures.targets]
    shares = Counter(rarest)
    taken: Counter[int] = Counter()
    ranked = []
    generator = torch.Generator().manual_seed(seed)
    for index in torch.randperm(len(pictures), generator=generator).tolist():
        own = rarest[index]
        place = (taken[own] + 0.5) / shares[own]  # evenly, from 0 to 1
        ranked.append((min(taken[own], LEAST), place, index))
        taken[own] += 1
    return pictures.subset(sorted(index for *_, index in sorted(ranked)[:most]))


def _rarest(target: int | tuple[int, ...], sizes: dict[int, int]) -> int:
    """The class that fewest pictures have; -1 for a picture without any."""
    numbers = target if isinstance(target, tuple) else (target,)
    return min(numbers, key=lambda number: (sizes[number], number), default=-1)
