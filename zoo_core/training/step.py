"""A step of the optimizer: gradients of a batch, in pieces where it must be, and the update."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.data.balance import class_weights
from zoo_core.data.loader import Batch
from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.stack import Stack
from zoo_core.training.loaders import Supply
from zoo_core.training.memory import Fitting
from zoo_core.training.precision import Precision


class Stepper:
    """Takes the steps of a phase.

    `forward`: the model, as it may be compiled and joined with other processes. `loss`: what is
    made small.
    """

    def __init__(
        self,
        model: ZooModel,
        forward: Any,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        *,
        supply: Supply,
        stack: Stack,
        precision: Precision,
        fitting: Fitting,
    ) -> None:
        self.model, self.forward, self.optimizer, self.loss = model, forward, optimizer, loss
        self.supply, self.stack = supply, stack
        self.precision, self.fitting = precision, fitting

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
        found = []
        parts = list(zip(x.chunk(pieces), y.chunk(pieces), strict=True))
        for number, (some, targets) in enumerate(parts, 1):
            weight = len(some) / len(x)
            with self._alone(number < len(parts)):
                found.append(self._backward(some, targets, weight * share) * weight)
        return torch.stack(found).sum()

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


class Loss:
    """Mean log-loss of scores (N, C), in nats: of one class a picture, or of each yes and no.

    `weighted`: pictures of rare classes count more, so that all classes count alike.
    """

    def __init__(self, pictures: Pictures, outputs: int, *, weighted: bool) -> None:
        self.multilabel = pictures.multilabel
        self.weight: Tensor | None = None
        if weighted:
            counts = pictures.class_counts()
            self.weight = class_weights(counts + [0] * (outputs - len(counts)))

    def __call__(self, scores: Tensor, y: Tensor) -> Tensor:
        """`y`: classes (N,), shares of classes (N, C), or 0 and 1 for each of several labels."""
        if self.multilabel:
            return functional.binary_cross_entropy_with_logits(scores, y)
        if self.weight is None:
            return functional.cross_entropy(scores, y)
        self.weight = self.weight.to(scores.device, scores.dtype)
        # The mean over pictures, not over weights: so pieces of a batch add up to the batch.
        return functional.cross_entropy(scores, y, weight=self.weight, reduction="sum") / len(y)
