"""SAM, sharpness-aware minimization (Foret et al., 2021), and ASAM (Kwon et al., 2021)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from zoo_core.regularize import Regularizer, above_zero
from zoo_core.transfer.sharded import own_parts, whole
from zoo_regularizers.pieces import pieces, with_gradients

# Keeps a gradient of zero from being divided by zero; float32 holds it.
LEAST = 1e-12


@torch.no_grad()
def climb(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float, adaptive: bool = False
) -> Tensor:
    """Moves weights uphill in place, w ← w + ρ·g/‖g‖, and returns ‖g‖ over all of them.

    `adaptive`: w ← w + ρ·w²g/‖|w|g‖ instead. `weights`, `gradients`: alike in shape and device, as
    long as each other. How large the gradients are has no say, so that they may be scaled.
    """
    slopes = [g * w for w, g in zip(weights, gradients, strict=True)] if adaptive else gradients
    norm = whole(get_total_norm(slopes))
    norm = norm.to(torch.promote_types(norm.dtype, torch.float32))
    for part, slope in pieces(weights, slopes):
        steps = torch._foreach_mul(slope, (rho / (norm + LEAST)).to(slope[0].device))
        if adaptive:
            torch._foreach_mul_(steps, part)
        torch._foreach_add_(part, steps)
    return norm


class SAM(Regularizer):
    """Takes the gradient where the loss is worst nearby: two passes a step.

    The gradient at w + e instead of that at w, e = ρ·g/‖g‖ over all chosen weights together.
    `rho`: ρ, above 0. `adaptive=True`: ASAM, e = ρ·w²g/‖|w|g‖. The weights come back exactly, and
    batch statistics are those of the first pass, whose loss is returned. On the device of the
    weights, without waiting for it; a GradScaler may scale both passes. Where gradients accumulate,
    each part of a step climbs by itself, and adds to those from before.
    https://arxiv.org/abs/2010.01412, https://arxiv.org/abs/2102.11600

    Raises ValueError for a bad number; `attach()` raises RecipeError where nothing trains.
    """

    def __init__(self, rho: float = 0.05, adaptive: bool = False, **common: Any) -> None:
        super().__init__(**common)
        above_zero(rho=rho)
        self.rho, self.adaptive = rho, adaptive

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        if not self.trained:
            raise self.nothing_to_act_on("weight trains")

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        with self._set_aside():
            loss = closure()
            gradients, weights = with_gradients(self.trained.values())
        with _put_back(weights), _put_back(self._statistics()):
            norm = climb(weights, gradients, self.now(self.rho), self.adaptive)
            del gradients  # room for those of the second pass
            closure()
        self._pass_on(norm)
        return loss

    @contextlib.contextmanager
    def _set_aside(self) -> Iterator[None]:
        """Gradients from before are away inside, and come back outside in place of new ones.

        The second pass then adds to them, so that processes in parallel share the sum. It is all
        that learns, in the chosen stages or not: what the first pass gives it must go. They are
        copies, since DistributedDataParallel may use the memory of a gradient again.
        """
        groups = self.optimizer.param_groups if self.optimizer is not None else []
        known = chain(self.model.parameters(), *(group["params"] for group in groups))
        learning = list({id(p): p for p in known if p.requires_grad}.values())
        before = [None if p.grad is None else p.grad.clone() for p in learning]
        for parameter in learning:
            parameter.grad = None
        try:
            yield
        finally:
            for parameter, gradient in zip(learning, before, strict=True):
                parameter.grad = gradient

    def _statistics(self) -> list[Tensor]:
        """Buffers that a pass may move.

        They are put back rather than kept from moving by a momentum of 0, since 0 times a statistic
        that is no number is no number either.
        """
        training = (module for module in self.model.modules() if module.training)
        return [buffer for module in training for buffer in module.buffers(recurse=False)]

    def _pass_on(self, norm: Tensor) -> None:
        """Adds 0 to the gradients, or no number where the first ones were infinite.

        A scaler must skip such a step, even if the second pass happens to look well.
        """
        last = [p.grad for p in self.trained.values() if p.grad is not None]
        for gradient in own_parts(last[:1]):
            gradient.add_((norm * 0).to(gradient.device))


@contextlib.contextmanager
def _put_back(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Tensors as they were, bit for bit, whatever happened to them inside."""
    tensors = own_parts(tensor.detach() for tensor in tensors)
    kept = [tensor.clone() for tensor in tensors]
    # Autocast around the passes would go on with copies of the weights that it made before.
    torch.clear_autocast_cache()
    try:
        yield
    finally:
        with torch.no_grad():
            for now, before in pieces(tensors, kept):
                torch._foreach_copy_(now, before)
        torch.clear_autocast_cache()
