"""Noise on gradients that fades over the steps (Neelakantan et al., 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo_core.regularize import at_least_zero
from zoo_core.transfer.sharded import is_sharded, parts_like
from zoo_regularizers.on_weights import OnTrained
from zoo_regularizers.pieces import pieces, with_gradients


class GradientNoise(OnTrained):
    """g ← g + N(0, η/(1+t)^γ) at step t = 0, 1, …

    `eta`, `gamma`: 0 or more. The noise follows from `seed` and t alone: it is the same in every
    process, and in a run that was resumed.
    """

    def __init__(
        self, eta: float = 0.01, gamma: float = 0.55, seed: int = 0, **common: Any
    ) -> None:
        super().__init__(**common)
        at_least_zero(eta=eta, gamma=gamma, seed=seed)
        self.eta, self.gamma, self.seed, self.step = eta, gamma, seed, 0

    @torch.no_grad()
    def gradients(self) -> None:
        deviation = (self.eta / (1 + self.step) ** self.gamma) ** 0.5
        drawing: dict[torch.device, torch.Generator] = {}
        gradients, _ = with_gradients(self.trained.values())
        # what several processes share gets its part of one noise, and not each part the same
        into = [
            torch.zeros(g.shape, dtype=g.dtype, device=g.device) if is_sharded(g) else g
            for g in gradients
        ]
        for (some,) in pieces(into):
            device = some[0].device
            if device not in drawing:
                drawing[device] = torch.Generator(device).manual_seed(self._draw())
            sizes = [gradient.numel() for gradient in some]
            noise = some[0].new_empty(sum(sizes)).normal_(generator=drawing[device])
            shaped = [n.view(g.shape) for n, g in zip(noise.split(sizes), some, strict=True)]
            torch._foreach_add_(some, shaped, alpha=deviation)
        for gradient, noisy in zip(gradients, into, strict=True):
            if noisy is not gradient:
                gradient.add_(parts_like(noisy, gradient))
        self.step += 1

    def _draw(self) -> int:
        """A seed of its own for each step; on a CPU only the lower 32 bits count."""
        return (self.seed * 0x9E3779B1 + self.step) % 2**32

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
