"""L2-SP: decay towards the starting point, not towards zero (Li, Grandvalet and Davoine, 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import RecipeError
from zoo_core.model import pretrained_part
from zoo_core.regularize import Regularizer


class L2SP(Regularizer):
    """α/2 Σ(w-w₀)² over pretrained weights and β/2 Σw² over new ones.

    Weights are tensors of two and more dimensions.
    """

    def __init__(self, strength: float = 0.01, new: float = 0.01) -> None:
        if not (strength >= 0 and new >= 0):
            raise ValueError(f"strengths must be 0 or more, not {strength} and {new}")
        self.strength, self.new = strength, new
        self._start: dict[str, Tensor] | None = None

    def attach(
        self, model: nn.Module, *, reference: Mapping[str, Tensor] | None = None, **given: Any
    ) -> None:
        """At the first attach, copies the reference.

        By default those are the weights as they are, without a head that is new.
        """
        super().attach(model, reference=reference, **given)
        if self._start is None:
            start = pretrained_part(model) if reference is None else reference
            if not start:
                raise RecipeError(
                    "l2-sp keeps weights near the pretrained ones, and this model has none.",
                    hint="Create it with pretrained=True, or take l2.",
                )
            weights = {name: tensor for name, tensor in start.items() if tensor.ndim >= 2}
            self._start = {name: weight.detach().clone() for name, weight in weights.items()}
        start = self._start
        near = {n: w for n, w in self.decayed.items() if n in start and start[n].shape == w.shape}
        self._near = list(near.values())
        self._from = [start[name].to(w.device, w.dtype) for name, w in near.items()]
        self._fresh = [w for name, w in self.decayed.items() if name not in near]

    def gradients(self) -> None:
        pairs = zip(self._near, self._from, strict=True)
        near = [(w.grad, w.detach(), w0) for w, w0 in pairs if w.grad is not None]
        if near:
            moved = torch._foreach_sub([w for _, w, _ in near], [w0 for _, _, w0 in near])
            torch._foreach_add_([gradient for gradient, _, _ in near], moved, alpha=self.strength)
        fresh = [(w.grad, w.detach()) for w in self._fresh if w.grad is not None]
        if fresh:
            gradients, weights = [g for g, _ in fresh], [w for _, w in fresh]
            torch._foreach_add_(gradients, weights, alpha=self.new)

    def penalty(self) -> Tensor:
        total = super().penalty()
        if self._near:
            moved = torch._foreach_sub([w.detach() for w in self._near], self._from)
            total = total + self.strength / 2 * _squares(moved)
        if self._fresh:
            total = total + self.new / 2 * _squares([w.detach() for w in self._fresh])
        return total

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._start = state["start"]


def _squares(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([norm**2 for norm in torch._foreach_norm(list(tensors))]).sum()
