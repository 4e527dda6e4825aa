"""L2-SP: decay towards the starting point, not towards zero (Li, Grandvalet and Davoine, 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import RecipeError
from zoo_core.model import pretrained_part
from zoo_core.regularize import at_least_zero
from zoo_regularizers.on_weights import OnWeights
from zoo_regularizers.pieces import pieces, with_gradients
from zoo_regularizers.sums import sum_of_squares


class L2SP(OnWeights):
    """α/2 Σ(w-w₀)² over pretrained weights and β/2 Σw² over new ones.

    Weights are tensors of two and more dimensions. `strength`, `new`: α and β, 0 or more. w₀ is
    one copy of the weights that train; a step takes a quarter of that for a moment on a GPU.
    """

    def __init__(self, strength: float = 0.01, new: float = 0.01, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength, new=new)
        self.strength, self.new = strength, new
        self._reference: Mapping[str, Tensor] | None = None
        self._start: dict[str, Tensor] = {}

    def attach(
        self, model: nn.Module, *, reference: Mapping[str, Tensor] | None = None, **given: Any
    ) -> None:
        """Copies the reference of what trains, and of what is unfrozen later when it is.

        By default those are the weights as they are, without a head that is new.
        """
        super().attach(model, reference=reference, **given)
        if self._reference is None:
            self._reference = pretrained_part(self.model) if reference is None else reference
        if not self._reference:
            raise RecipeError(
                "l2-sp keeps weights near the pretrained ones, and this model has none.",
                hint="Create it with pretrained=True, or take l2.",
            )
        for name, weight in self.decayed.items():
            start = self._reference.get(name)
            if name not in self._start and start is not None and start.shape == weight.shape:
                own = start.detach().to(weight.device, weight.dtype, copy=True)
                self._start[name] = torch.empty_like(weight).copy_(own)
        self._near = [(w, self._start[name]) for name, w in self.decayed.items() if self._has(name)]
        self._fresh = [w for name, w in self.decayed.items() if not self._has(name)]

    def _has(self, name: str) -> bool:
        return name in self._start and self._start[name].shape == self.decayed[name].shape

    def gradients(self) -> None:
        near, start = [w for w, _ in self._near], [w0 for _, w0 in self._near]
        for gradients, weights, starts in pieces(*with_gradients(near, start)):
            moved = torch._foreach_sub(weights, starts)
            torch._foreach_add_(gradients, moved, alpha=self.now(self.strength))
        for gradients, weights in pieces(*with_gradients(self._fresh)):
            torch._foreach_add_(gradients, weights, alpha=self.now(self.new))

    def penalty(self) -> Tensor:
        total = super().penalty()
        if self._near:
            moved = [w.detach() - w0 for w, w0 in self._near]
            total = total + self.now(self.strength) / 2 * sum_of_squares(moved)
        if self._fresh:
            total = total + self.now(self.new) / 2 * sum_of_squares(self._fresh)
        return total

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, start in state["start"].items():
            if name in self._start:
                self._start[name].copy_(start)
            else:
                self._start[name] = start.clone()
