"""The rows of many weights: filters of convolutions, units of linear layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from zoo_core.transfer.sharded import is_sharded
from zoo_regularizers.pieces import grouped


class Rows:
    """The rows of weights of one device and dtype, all in one vector of norms.

    A row is all that feeds one output: `w[i]`. On a GPU, weights of one shape are stacked, so that
    norms and scaling are three launches for each shape however many weights have it, and the copy
    that this takes lasts until `scale_`.
    """

    def __init__(self, weights: Sequence[Tensor], *, stacked: bool | None = None) -> None:
        first = weights[0]
        stacked = first.device.type != "cpu" if stacked is None else stacked
        # Those of one shape and layout are stacked.
        alike = grouped(weights, lambda weight: (weight.shape, weight.stride()))
        self.groups = alike if stacked else [[weight] for weight in weights]
        self.counts = [len(group) * len(group[0]) for group in self.groups]
        wide = torch.promote_types(first.dtype, torch.float32)
        self._norms = torch.empty(sum(self.counts), device=first.device, dtype=wide)
        widths = [group[0][0].numel() for group in self.groups]
        self.widths = torch.cat(
            [self._norms.new_full((n,), w) for n, w in zip(self.counts, widths, strict=True)]
        )
        self._stacks: list[Tensor] = []

    def norms(self) -> Tensor:
        """The norm of each row, of shape (rows of all weights,)."""
        self._stacks = [
            torch.stack([_in_memory_order(weight) for weight in group])
            if len(group) > 1
            else _in_memory_order(group[0])[None]
            for group in self.groups
        ]
        for stack, norms in zip(self._stacks, self._norms.split(self.counts), strict=True):
            wide = self._norms.dtype
            torch.linalg.vector_norm(
                stack.flatten(2), dim=2, dtype=wide, out=norms.view(stack.shape[:2])
            )
        return self._norms

    def scale_(self, factors: Tensor) -> None:
        """Multiply each row by its factor, given in the order of `norms()`."""
        copies: list[Tensor] = []
        into: list[Tensor] = []
        parts = factors.to(self._stacks[0].dtype).split(self.counts)
        for group, stack, part in zip(self.groups, self._stacks, parts, strict=True):
            if part.device.type == "cpu" and bool((part == 1).all()):
                continue  # asking costs nothing there, and most weights are within their bounds
            stack.mul_(part.view(*stack.shape[:2], *[1] * (stack.ndim - 2)))
            if len(group) > 1:
                copies += stack.unbind()
                into += [_in_memory_order(weight) for weight in group]
        if copies:
            torch._foreach_copy_(into, copies)
        self._stacks = []


class ShardedRows:
    """The rows of one weight of which each process has a part; what they share is asked for.

    `norms()` and what it gives are DTensors, (rows, 1, …).
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        self.widths = torch.tensor(float(weight[0].numel()), device=weight.device, dtype=wide)

    def norms(self) -> Tensor:
        weight = self.weight.detach()
        across = tuple(range(1, weight.ndim))
        return torch.linalg.vector_norm(weight.to(self.widths.dtype), dim=across, keepdim=True)

    def scale_(self, factors: Tensor) -> None:
        weight = self.weight.detach()
        weight.mul_(factors.to(weight.dtype))


def rows_of(weights: Iterable[Tensor]) -> list[Rows | ShardedRows]:
    """The rows of weights, by device and dtype; of those in parts, by weight."""
    parted: list[Tensor] = []
    plain: list[Tensor] = []
    for weight in weights:
        (parted if is_sharded(weight) else plain).append(weight)
    groups = grouped([w.detach() for w in plain], lambda weight: (weight.device, weight.dtype))
    return [*map(Rows, groups), *map(ShardedRows, parted)]


def _in_memory_order(weight: Tensor) -> Tensor:
    """A view whose dimensions after the first go from far to near in memory (channels last)."""
    order = sorted(range(1, weight.ndim), key=weight.stride, reverse=True)
    return weight.permute(0, *order)
