"""R-Drop (Wu et al., 2021): two passes with other dropout should say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import RecipeError
from zoo_core.regularize import Regularizer, Schedule, at_least_zero, called
from zoo_regularizers.dropblock import DropBlock
from zoo_regularizers.dropout import Dropout
from zoo_regularizers.stochastic_depth import StochasticDepth

# How dropout's kin in torch, torchvision and timm, and models that call its function, name its p.
RATES = ("drop_prob", "drop_rate", "dropout")


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """½(KL(p‖q) + KL(q‖p)) of p and q = softmax of two scores, as a mean over the batch; a scalar.

    `first`, `second`: (N, C), on any device. In float32 at least.
    """
    with torch.autocast(first.device.type, enabled=False):
        wide = torch.promote_types(first.dtype, torch.float32)
        p, q = first.to(wide).log_softmax(1), second.to(wide).log_softmax(1)
        there = functional.kl_div(q, p, reduction="batchmean", log_target=True)
        back = functional.kl_div(p, q, reduction="batchmean", log_target=True)
        return (there + back) / 2


class RDrop(Regularizer):
    """Puts each batch through twice with other dropout, and the divergence of both into the loss.

    Adds α·½(KL(p₁‖p₂) + KL(p₂‖p₁)), a mean over the batch. Both views go through the model in one
    pass: inputs and targets (N, …) become (2N, …), and outputs are (2N, C). `alpha`: α, 0 or more.
    On the device of the outputs; the loss without it is the mean of both views'.
    https://arxiv.org/abs/2106.14448

    Raises ValueError for a bad number; `passes()` raises RecipeError where nothing in the model is
    random, and `loss()` where the outputs are not those of both views.
    """

    one_class = True

    def __init__(
        self, alpha: float = 1.0, *, schedule: str | Schedule = "constant", steps: int = 0
    ) -> None:
        super().__init__(schedule=schedule, steps=steps)
        at_least_zero(alpha=alpha)
        self.alpha = alpha
        self._size, self._checked = 0, False

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self._size, self._checked = 0, False

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.model.training:
            return x, y
        self._size = 2 * len(x)
        return torch.cat([x, x]), torch.cat([y, y])

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        """The plain pass. Only here is known what is random: modes and hooks are set by now."""
        if not self._checked and not self._something_is_random():
            raise RecipeError(
                f"{called(self)} has nothing to act on: the two passes are equal without dropout.",
                hint='Add "dropout" to the regularizers, or leave r-drop out.',
            )
        self._checked = True
        return closure()

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self.model.training:
            return loss
        if len(outputs) != self._size:
            raise RecipeError(
                f"{called(self)} compares two views of a batch, {self._size} outputs, and these "
                f"are {len(outputs)}.",
                hint="Give the model what batch() returned, all of it at once.",
            )
        return loss + self.now(self.alpha) * divergence(*outputs.chunk(2))

    def _something_is_random(self) -> bool:
        members = self.stack.members if self.stack else ()
        kinds = (Dropout, DropBlock, StochasticDepth)
        return any(isinstance(member, kinds) and member.p > 0 for member in members) or any(
            _drops(module) for module in self.model.modules() if module.training
        )


def _drops(module: nn.Module) -> bool:
    """Whether a module has a rate of dropout above 0: its own, or one for functions it calls."""
    # Poolings call another thing p.
    named = any(word in type(module).__name__ for word in ("Drop", "StochasticDepth"))
    rates = [getattr(module, name, 0) for name in (*RATES, "p") if name != "p" or named]
    return any(isinstance(rate, float | int) and rate > 0 for rate in rates)
