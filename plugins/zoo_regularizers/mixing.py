"""What mixup, CutMix and manifold mixup have in common: when they mix, and the targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import RecipeError
from zoo_core.model import ZooModel
from zoo_core.regularize import Regularizer, Schedule, above_zero, called


class Mixing(Regularizer):
    """Mixes each item of a batch with the one before it, and their targets alike.

    A step is mixed with probability `prob`, as the schedule has it, and not if another of the stack
    has mixed it already. Override `mix`.
    """

    def __init__(
        self,
        alpha: float,
        prob: float,
        *,
        schedule: str | Schedule = "constant",
        steps: int = 0,
    ) -> None:
        super().__init__(schedule=schedule, steps=steps)
        above_zero(alpha=alpha)
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be in [0, 1], not {prob}")
        self.alpha, self.prob = alpha, prob
        self.mixed = False  # in the step that is under way

    def attach(self, model: nn.Module, **given: Any) -> None:
        """Raises ValueError for a model that has no classes."""
        super().attach(model, **given)
        self.classes = classes_of(self.model)
        self.mixed = False

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Targets become shares of classes (N, C) in a step that is mixed."""
        self.mixed = self.model.training and not self._another_mixed() and self._is_drawn()
        if not self.mixed:
            return x, y
        if y.ndim not in (1, 2) or len(x) != len(y):
            raise RecipeError(
                f"{called(self)} mixes targets (N,) or (N, C) with N inputs, and these are "
                f"{tuple(y.shape)} with {len(x)}."
            )
        return self.mix(x, shares(y, self.classes, torch.promote_types(x.dtype, torch.float32)))

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets, mixed. `y`: (N, C), float."""
        raise NotImplementedError

    def _another_mixed(self) -> bool:
        """Whether one before it in the stack has mixed this step.

        The shape of the targets would not tell: those of several labels are (N, C) from the start.
        """
        members = self.stack.members if self.stack else ()
        before = members[: members.index(self)] if self in members else ()
        return any(isinstance(member, Mixing) and member.mixed for member in before)

    def _is_drawn(self) -> bool:
        return bool(torch.rand((), device="cpu") < self.now(self.prob))


def shares(targets: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Classes (N,) as shares of classes (N, C); what is (N, C) already, in the type."""
    if targets.ndim == 1:
        targets = functional.one_hot(targets.long(), classes)
    return targets.to(dtype)


def pictures(regularizer: Regularizer, x: Tensor) -> Tensor:
    """The inputs, where they are pictures (N, C, H, W). Raises RecipeError for others."""
    if x.ndim != 4:
        raise RecipeError(
            f"{called(regularizer)} mixes pictures (N, C, H, W), and these inputs are "
            f"{tuple(x.shape)}.",
            hint="Take manifold-mixup, which mixes activations of any shape.",
        )
    return x


def classes_of(model: nn.Module) -> int:
    """How many classes a model tells apart: zoo's know it, else what the last layer gives.

    Raises ValueError where there is no classifier.
    """
    if isinstance(model, ZooModel):
        count = model.num_outputs
    else:
        layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        last = layers[-1] if layers else None
        count = getattr(last, "out_features", 0) or getattr(last, "out_channels", 0)
    if not count:
        raise ValueError("the model has no classifier to count the classes of")
    return int(count)
