"""Cutout (DeVries and Taylor, 2017): a network that cannot count on any one part of a picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core import Regularizer
from zoo_core.regularize import above_zero


def cutout(x: Tensor, size: int, prob: float = 1.0) -> Tensor:
    """Pictures (N, C, H, W), each with a square of zeros around a place of its own.

    `size`: its side in pixels, less what is over the edge, as in the paper. `prob`: how often a
    picture loses one. Zero is the mean colour, once pictures are normalised. On their device.

    >>> cutout(torch.ones(1, 1, 8, 8), size=16).shape
    torch.Size([1, 1, 8, 8])
    """
    count, _, height, width = x.shape
    draw = torch.rand(3, count, 1, 1, device=x.device)  # where, and whether at all
    rows = torch.arange(height, device=x.device).view(1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, -1)
    top = (draw[0] * height).floor() - size // 2  # (N, 1, 1)
    left = (draw[1] * width).floor() - size // 2
    inside = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
    return x.masked_fill((inside & (draw[2] < prob)).unsqueeze(1), 0)


class Cutout(Regularizer):
    """Puts a square of zeros into each picture; targets stay. `size`, `prob`: see `cutout`.

    `schedule` moves `prob`. Raises ValueError for a bad number, or inputs that are no pictures.
    """

    changes_pictures = True

    def __init__(self, size: int = 16, prob: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        above_zero(size=size)
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be in [0, 1], not {prob}")
        self.size, self.prob = size, prob

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.model.training:
            return x, y
        if x.ndim != 4:
            raise ValueError(f"cutout wants pictures (N, C, H, W), not inputs of {tuple(x.shape)}")
        return cutout(x, self.size, self.now(self.prob)), y
