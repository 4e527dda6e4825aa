"""The optimizer of a phase, and its learning rates: by depth, and over time."""

from __future__ import annotations

import math

import torch

from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.settings import Settings


def make_optimizer(model: ZooModel, settings: Settings) -> torch.optim.Optimizer:
    """An optimizer of what trains; weight decay is a regularizer's business.

    Fused, so that a step is one pass over the weights, where the device has that.
    """
    groups = model.param_groups(settings.rate, settings.decay, weight_decay=0.0, no_decay=None)
    if settings.decay == 1:
        weights = [parameter for group in reversed(groups) for parameter in group["params"]]
        groups = [{"params": weights, "lr": settings.rate, "weight_decay": 0.0}]
    devices = {p.device.type for group in groups for p in group["params"]}
    fused = devices <= {"cpu", "cuda"}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


class Rates:
    """The learning rates of a phase over its steps: a warm-up, then constant, linear or cosine.

    `steps`: of an epoch, and of the whole phase.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, settings: Settings, epoch_steps: int, steps: int
    ) -> None:
        self.optimizer, self.shape = optimizer, settings.lr_schedule
        self.warmup, self.steps = settings.warmup * epoch_steps, steps
        self.base = [group["lr"] for group in optimizer.param_groups]
        self.moves = self.shape != "constant" or self.warmup > 0

    def set(self, done: int) -> None:
        """The rates of the step after `done` steps."""
        if self.moves:
            factor = self.factor(done)
            for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
                group["lr"] = base * factor

    def factor(self, done: int) -> float:
        """The share of the full rate: it rises to 1 over the warm-up, and falls to 0 at the end."""
        if done < self.warmup:
            return (done + 1) / (self.warmup + 1)
        if self.shape == "constant":
            return 1.0
        share = (done - self.warmup) / max(self.steps - self.warmup, 1)
        return 1 - share if self.shape == "linear" else (1 + math.cos(math.pi * share)) / 2

    @property
    def highest(self) -> float:
        """The rate of the last stage, as it is now."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))
