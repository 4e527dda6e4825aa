"""Adaptive gradient clipping (Brock, De, Smith and Simonyan, 2021), as timm has it."""

from __future__ import annotations

from typing import Any

import torch
from timm.utils.agc import adaptive_clip_grad
from torch import Tensor

from zoo_core.regularize import above_zero
from zoo_core.transfer.sharded import is_sharded
from zoo_regularizers.on_weights import OnTrained


class AGC(OnTrained):
    """g ← g·min(1, clip·max(‖w‖, eps)/‖g‖) for each row of a weight, and each bias.

    `clip`, `eps`: above 0. The paper leaves the last layer out: `exclude="head"`.
    """

    def __init__(self, clip: float = 0.01, eps: float = 1e-3, **common: Any) -> None:
        super().__init__(**common)
        above_zero(clip=clip, eps=eps)
        self.clip, self.eps = clip, eps

    def gradients(self) -> None:
        plain = [weight for weight in self.trained.values() if not is_sharded(weight)]
        adaptive_clip_grad(plain, clip_factor=self.clip, eps=self.eps)
        for weight in self.trained.values():
            if is_sharded(weight) and weight.grad is not None:
                self._clip(weight.grad, weight.detach())

    def _clip(self, gradient: Tensor, weight: Tensor) -> None:
        """The same by operations that tensors in parts have: timm's work in place."""
        bound = self.clip * _norms(weight).clamp(min=self.eps)
        norms = _norms(gradient)
        gradient.mul_(torch.where(norms < bound, 1.0, bound / norms.clamp(min=1e-6)))


def _norms(tensor: Tensor) -> Tensor:
    """Of each row, or of all of a bias."""
    across = tuple(range(1, tensor.ndim)) or (0,)
    return torch.linalg.vector_norm(tensor, dim=across, keepdim=True)
