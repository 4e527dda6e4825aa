"""Batch spectral shrinkage (Chen et al., 2019): the smallest singular values of features shrink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.regularize import Regularizer, Schedule, at_least_zero, selected
from zoo_regularizers.places import head_of, modules_of


def smallest_singular_values(features: Tensor, k: int) -> Tensor:
    """Σ_{i≤k} σ_{-i}(F)²: the squares of the `k` smallest singular values; a scalar.

    `features`: F, (N, d). All min(N, d) of them where `k` is larger. In float32 at least; a GPU is
    waited for.
    """
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        return torch.linalg.svdvals(wide)[-k:].square().sum()


class BSS(Regularizer):
    """Shrinks the smallest singular values of a batch of features, which transfer the least.

    Adds η·Σ_{i≤k} σ_{-i}(F)² to the loss; F: (N, d), what enters the head, flattened. `eta`: 0 or
    more. `k`: 1 or more. On the device of the features: the singular values make the host wait for
    a GPU at each step, so it slows training and cannot be captured in a CUDA graph.
    https://proceedings.neurips.cc/paper/2019/hash/c6bff625bdb0393992c9d4db0c6bbe45-Abstract.html

    Raises ValueError for a bad number; `attach()` raises RecipeError where nothing before the head
    trains, or there is no linear layer to be the head.
    """

    def __init__(
        self,
        eta: float = 0.001,
        k: int = 1,
        *,
        schedule: str | Schedule = "constant",
        steps: int = 0,
    ) -> None:
        super().__init__(schedule=schedule, steps=steps)
        at_least_zero(eta=eta)
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        self.eta, self.k = eta, k
        self._features: Tensor | None = None
        self._value: Tensor | None = None

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self._features = self._value = None
        head = head_of(self.model)
        if head is None:
            raise self.nothing_to_act_on("linear layer")
        if not selected(self.model, self.trained, (), [head]):
            raise self.nothing_to_act_on("trained weights before the head")
        first = self.model.get_submodule(modules_of(self.model, head)[0])
        self.handles = [first.register_forward_pre_hook(self._capture)]

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        features, self._features = self._features, None
        if features is None:
            return loss
        value = self.now(self.eta) * smallest_singular_values(features, self.k)
        self._value = value.detach()
        return loss + value

    def penalty(self) -> Tensor:
        """The value of the last step; zero before the first."""
        return super().penalty() if self._value is None else self._value

    def state_dict(self) -> dict[str, Any]:
        """The value of the last step."""
        return {"value": self._value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        value = state["value"]
        self._value = None if value is None else value.to(super().penalty().device)

    def _capture(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self.model.training and torch.is_grad_enabled():
            self._features = inputs[0].flatten(1)
