"""Manifold mixup (Verma et al., 2019): mixup of activations, at the first stage that trains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import RecipeError
from zoo_core.regularize import called
from zoo_regularizers.boundary import first_trained
from zoo_regularizers.mixing import Mixing
from zoo_regularizers.r_drop import RDrop


def mixed(items: Tensor, share: Tensor) -> Tensor:
    """λ·xᵢ + (1-λ)·xᵢ₋₁ along the first dimension. `share`: λ, a scalar in [0, 1]."""
    share = share.to(items.device)
    return items * share + items.roll(1, 0) * (1 - share)


class ManifoldMixup(Mixing):
    """Mixes the activations that enter the first trained stage, and the targets alike.

    h ← λ·hᵢ + (1-λ)·hᵢ₋₁ and t ← λ·tᵢ + (1-λ)·tᵢ₋₁ with one λ ~ Beta(α, α) a step, in training;
    where nothing is frozen, h is the input. `alpha`: α, above 0. `prob`: how often a step is mixed,
    in [0, 1]. Activations (N, …); targets (N,) or (N, C) become (N, C). On their device; λ is drawn
    on the CPU. https://arxiv.org/abs/1806.05236

    Raises ValueError for a bad number, or a model without a classifier; `attach()` raises
    RecipeError where nothing trains, and `loss()` where the model was not given the whole batch.
    """

    _share: Tensor | None = None  # λ of the step that is under way

    def __init__(self, alpha: float = 2.0, prob: float = 1.0, **common: Any) -> None:
        super().__init__(alpha, prob, **common)
        self.beta = torch.distributions.Beta(alpha, alpha)
        self._forget()

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self._forget()
        first = first_trained(self.model, self.trained)
        if first is None:
            raise self.nothing_to_act_on("module takes in activations for weights that train")
        self.handles = [first.register_forward_pre_hook(self._enter)]

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self._forget()  # what a batch before has drawn, where gradients accumulate
        return super().batch(x, y)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The targets are mixed here; the activations when they come by."""
        # Filled in by the device: to copy it there would make the host wait.
        self._share = torch.full((), float(self.beta.sample()), dtype=y.dtype, device=x.device)
        self._size = len(x) * (2 if self._is_doubled() else 1)
        return x, mixed(y, self._share)

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        if self._share is not None and not self._met:
            raise RecipeError(
                f"{called(self)} mixed the targets of {self._size} inputs, but as many activations "
                "did not come by.",
                hint="In training mode, give the model the whole batch that batch() returned.",
            )
        return loss

    def gradients(self) -> None:
        self._forget()

    def detach(self) -> None:
        super().detach()
        self._forget()

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """In every pass of the step, since SAM makes two; not for batches of another size."""
        if self._share is None or not self.model.training or not inputs:
            return None
        activations, *others = inputs
        if len(activations) != self._size:
            return None
        self._met = True
        return mixed(activations, self._share), *others

    def _is_doubled(self) -> bool:
        """Whether R-Drop doubles the batch after this one; to roll both halves rolls each."""
        members = self.stack.members if self.stack else ()
        return any(isinstance(m, RDrop) for m in members[members.index(self) + 1 :])

    def _forget(self) -> None:
        self._share, self._size, self._met = None, 0, False
