"""A step of the optimizer: gradients of a batch, in pieces where it must be, and the update."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.loader import Batch
from zoo_core.training.loaders import Supply
from zoo_core.training.loss import Loss
from zoo_core.training.memory import Fitting
from zoo_core.training.task import Task


class Stepper:
    """Takes the steps of a phase.

    `forward`: the model, as it may be compiled and joined with other processes. `fitting`: in how
    many pieces a batch is computed.
    """

    def __init__(
        self,
        task: Task,
        supply: Supply,
        forward: Any,
        optimizer: torch.optim.Optimizer,
        fitting: Fitting,
    ) -> None:
        self.model, self.stack, self.precision = task.model, task.stack, task.precision
        self.supply, self.forward = supply, forward
        self.optimizer, self.fitting = optimizer, fitting
        weighted = task.settings.balance == "weights"
        self.loss = Loss(task.train_set, task.model.num_outputs, weighted=weighted)

    def step(self, batch: Batch) -> Tensor:
        """One step; returns the mean loss of the batch on this process."""
        h = self.supply.entering(batch.x)
        y = batch.y.to(h.device, non_blocking=True)
        loss = self.fitting.run(
            self.model, lambda pieces: self._gradients(h, y, batch.share, pieces), len(h)
        )
        scaler = self.precision.scaler
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        self.stack.gradients()
        if scaler is not None:
            scaler.step(self.optimizer)
            scaler.update()
        else:
            self.optimizer.step()
        self.stack.weights()
        return loss

    def _gradients(self, x: Tensor, y: Tensor, share: float, pieces: int) -> Tensor:
        """Gradients of the mean loss of a batch, in so many pieces one after the other."""
        self.optimizer.zero_grad()
        if pieces == 1:
            return self._backward(x, y, share)
        losses = []
        parts = list(zip(x.chunk(pieces), y.chunk(pieces), strict=True))
        for number, (some, targets) in enumerate(parts, 1):
            weight = len(some) / len(x)
            with self._alone(number < len(parts)):
                losses.append(self._backward(some, targets, weight * share) * weight)
        return torch.stack(losses).sum()

    def _alone(self, waits: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients of this process alone, where more pieces of the batch follow."""
        if waits and hasattr(self.forward, "no_sync"):
            return self.forward.no_sync()
        return contextlib.nullcontext()

    def _backward(self, x: Tensor, y: Tensor, weight: float) -> Tensor:
        x, y = self.stack.batch(x, y)

        def closure() -> Tensor:
            with self.precision.autocast():
                outputs = self.forward(x)
            if self.precision.name != "no":
                outputs = outputs.float()
            loss = self.stack.loss(self.loss(outputs, y), outputs, y)
            scaled = loss if weight == 1 else loss * weight
            scaler = self.precision.scaler
            (scaled if scaler is None else scaler.scale(scaled)).backward()
            return loss.detach()

        return self.stack.passes(closure)
