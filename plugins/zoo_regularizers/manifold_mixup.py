"""Manifold mixup: mixup of activations (Verma et al., 2019), at the frozen boundary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import chain_of
from zoo_regularizers.mixing import Mixing, blend, shares
from zoo_regularizers.places import modules_of


class ManifoldMixup(Mixing):
    """h ← λ·h_i + (1-λ)·h_j of what enters the first stage that trains, and the targets alike.

    `alpha`: α in λ ~ Beta(α, α), above 0. `prob`: how often, in [0, 1]. Activations (N, ...), on
    their device. What comes before is frozen and may be cached. In a module without stages, the
    first child that trains. In training mode only.
    """

    def __init__(self, alpha: float = 2.0, prob: float = 1.0) -> None:
        super().__init__(alpha, prob)
        self._share: float | None = None
        self._count = 0

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        entry = self.model.get_submodule(first_trained(self.model, self.trained))
        self._share, self.handles = None, [entry.register_forward_pre_hook(self._blend)]

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self._share = None  # that of the batch before
        return super().batch(x, y)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self._share, self._count = self.draw(), len(x)
        return x, blend(shares(y, self.classes, x.dtype), self._share)

    def gradients(self) -> None:
        self._share = None

    def _blend(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        if self._share is None or not module.training or not torch.is_grad_enabled():
            return inputs
        # A batch that another regularizer has repeated holds several circles.
        if len(x) % self._count:
            return inputs
        return blend(x, self._share, self._count), *others


def first_trained(model: nn.Module, trained: dict[str, nn.Parameter]) -> str:
    """The path of the module that a model enters where it begins to train."""
    for stage in chain_of(model).values():
        if any(stage.has(name) for name in trained):
            return modules_of(model, stage.name)[0]
    children = [name for name, _ in model.named_children()]
    inside = [c for c in children if any(name.startswith(f"{c}.") for name in trained)]
    return inside[0] if inside else ""
