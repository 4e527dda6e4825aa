"""Sums over the numbers of many tensors, on their device, in float32 at least."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo_core.transfer.sharded import whole


def sum_of_squares(tensors: Iterable[Tensor]) -> Tensor:
    """Σw² as a scalar."""
    return _norms(tensors, 2).square().sum()


def sum_of_sizes(tensors: Iterable[Tensor]) -> Tensor:
    """Σ|w| as a scalar."""
    return _norms(tensors, 1).sum()


def _norms(tensors: Iterable[Tensor], order: int) -> Tensor:
    # The squares of half-precision numbers leave their range, and small ones vanish in the sum.
    wide = [t.detach().float() if t.itemsize < 4 else t.detach() for t in tensors]
    return torch.stack([whole(norm) for norm in torch._foreach_norm(wide, order)])
