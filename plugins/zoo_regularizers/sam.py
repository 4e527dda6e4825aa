"""SAM: sharpness-aware minimisation (Foret et al., 2021), and ASAM (Kwon et al., 2021)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_core.regularize import Regularizer, above_zero
from zoo_regularizers.sums import sum_of_squares


class SAM(Regularizer):
    """The gradient at w + e in the place of that at w, with e = ρ·g/‖g‖: two passes.

    `rho`: ρ, above 0. `adaptive=True` is ASAM: e = ρ·w²g/‖|w|g‖, for which ρ is 0.5 to 2. The
    second pass leaves the statistics of batch normalisation alone; afterwards the weights are bit
    for bit what they were. A gradient that is not finite stays so, for a GradScaler to see. With
    accumulated gradients each part has an e of its own; with several processes, all have the same.
    """

    def __init__(self, rho: float = 0.05, adaptive: bool = False, **common: Any) -> None:
        super().__init__(**common)
        above_zero(rho=rho)
        self.rho, self.adaptive = rho, adaptive

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        if not self.trained:
            raise self.nothing_to_act_on("parameter trains")

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        learns = [p for p in self.model.parameters() if p.requires_grad]
        earlier = [_taken_off(parameter) for parameter in learns]
        loss = closure()
        weights: list[Tensor] = [w for w in self.trained.values() if w.grad is not None]
        kept = [weight.detach().clone() for weight in weights]
        try:
            self._climb(weights)
            for parameter in learns:
                parameter.grad = None
            with _statistics_kept(self.model):
                closure()
        finally:
            if weights:
                torch._foreach_copy_([weight.detach() for weight in weights], kept)
        for parameter, before in zip(learns, earlier, strict=True):
            if before is not None:
                parameter.grad = before if parameter.grad is None else before.add_(parameter.grad)
        return loss

    @torch.no_grad()
    def _climb(self, weights: list[Tensor]) -> None:
        """w ← w + e. The gradients are used up."""
        if not weights:
            return
        climbs: list[Tensor] = [w.grad for w in weights if w.grad is not None]
        sizes = torch._foreach_abs(weights)
        if self.adaptive:
            torch._foreach_mul_(climbs, sizes)
        norm = sum_of_squares(climbs).sqrt()
        if self.adaptive:
            torch._foreach_mul_(climbs, sizes)
        scale = self.rho / (norm + 1e-12)
        torch._foreach_mul_(climbs, scale)
        torch._foreach_add_(weights, climbs)


def _taken_off(parameter: nn.Parameter) -> Tensor | None:
    gradient, parameter.grad = parameter.grad, None
    return gradient


@contextlib.contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch normalisation that trains goes by its batch, and keeps no running statistics of it."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    tracking = [layer.track_running_stats for layer in layers]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer, before in zip(layers, tracking, strict=True):
            layer.track_running_stats = before
