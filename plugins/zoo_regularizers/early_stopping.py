"""Early stopping (Prechelt, 1998): stop when validation gets no better, and restore the best."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import RecipeError, did_you_mean
from zoo_core.regularize import Regularizer, Stack, Verdict, at_least_zero
from zoo_core.transfer import Snapshot
from zoo_regularizers.stopping_rules import RULES, Course


class EarlyStopping(Regularizer):
    """Says STOP when its rule does, and puts the best weights back at the end, whoever stopped.

    The best are those of the lowest error: weights, buffers, and averages of the stack where it
    has some. `monitor`: `loss`, or `accuracy` for the error 1 - accuracy. `rule`: `patience`, that
    many validations in a row without an improvement by `min_delta` (a share of the best error);
    `gl`, `pq`, `up` are Prechelt's. `patience=1` is the textbook's rule: worse than last time,
    stop, and go back. `every`, `seconds`: so many steps or seconds between validations that count.
    With several processes, all go by the error that the first one sees.
    """

    needs_validation = True

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 1e-4,
        monitor: str = "loss",
        restore: bool = True,
        rule: str = "patience",
        alpha: float = 0.0,
        strip: int = 5,
        every: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__()
        for name, number in (("patience", patience), ("strip", strip)):
            if number < 1:
                raise ValueError(f"{name} must be 1 or more, not {number}")
        if monitor not in ("loss", "accuracy"):
            raise ValueError(f"monitor is loss or accuracy, not {monitor}")
        if rule not in RULES:
            raise ValueError(f"rule is {', '.join(RULES)}, not {rule}")
        at_least_zero(min_delta=min_delta, alpha=alpha, every=every, seconds=seconds)
        self.patience, self.min_delta, self.restore = patience, min_delta, restore
        self.monitor, self.rule, self.alpha, self.strip = monitor, rule, alpha, strip
        self.every, self.seconds = every, seconds
        self.course = Course()
        self.step = self.counted = 0
        self.since = time.monotonic()
        self._snapshot: Snapshot | None = None
        self._losses: list[Tensor] = []

    def uses(self, moment: str) -> bool:
        return super().uses(moment) and (moment != "loss" or self.rule == "pq")

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """Notes the training loss for the rule that goes by it, without waiting for the device."""
        if self.rule == "pq":
            self._losses.append(loss.detach())
        return loss

    def weights(self) -> None:
        self.step += 1

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        if not self._counts():
            return Verdict.CONTINUE
        error = self._agreed(self._error(metrics))
        improved = self.course.add(error, self._training_loss(metrics), self.min_delta)
        if improved and self.restore:
            # Averaged weights were validated, so they are the best ones.
            with (self.stack or Stack([])).evaluating():
                self._snapshot = Snapshot(self.model)
        if RULES[self.rule](self.course, self.patience, self.alpha, self.strip):
            return Verdict.STOP
        return Verdict.IMPROVED if improved else Verdict.CONTINUE

    def detach(self) -> None:
        super().detach()
        if self._snapshot is not None:
            self._snapshot.restore(self.model)

    def _counts(self) -> bool:
        now = time.monotonic()
        if self.step - self.counted < self.every or now - self.since < self.seconds:
            return False
        self.counted, self.since = self.step, now
        return True

    def _error(self, metrics: Mapping[str, float]) -> float:
        if self.monitor not in metrics:
            known = did_you_mean(self.monitor, metrics)
            raise RecipeError(
                f'early-stopping watches "{self.monitor}", which the validation has not. {known}',
                hint=f"It has: {', '.join(metrics)}.",
            )
        value = float(metrics[self.monitor])
        return value if self.monitor == "loss" else 1 - value

    def _training_loss(self, metrics: Mapping[str, float]) -> float:
        if self.rule != "pq":
            return math.nan
        noted, self._losses = self._losses, []
        if "train_loss" in metrics:
            return float(metrics["train_loss"])
        return torch.stack(noted).mean().item() if noted else math.nan

    def _agreed(self, error: float) -> float:
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return error
        device = next(self.model.parameters()).device
        shared = torch.tensor(error, device=device, dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def state_dict(self) -> dict[str, Any]:
        best = self._snapshot.tensors if self._snapshot else None
        counts = {"step": self.step, "counted": self.counted}
        return {"course": self.course.state_dict(), "best": best, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.course = Course(**state["course"])
        self.step, self.counted = state["step"], state["counted"]
        self._snapshot = Snapshot.of(state["best"]) if state["best"] is not None else None
