"""Stochastic weight averaging (Izmailov et al., 2018)."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_core.regularize import at_least_zero
from zoo_core.transfer import modes_kept
from zoo_regularizers.averaging import Averaging

NUMBERS = ("count", "step", "validations", "last", "_measured")
BATCHES = 8  # as many batches as the statistics of batch normalisation are measured on


class SWA(Averaging):
    """The mean of the weights at each validation after the first `start`, or each `every` steps.

    It is what is validated, and what stays. `start`: 0 or more validations (steps, with `every`).
    The statistics of batch normalisation that trains are measured anew for the mean, on the last 8
    batches of training, which are kept for this.
    """

    def __init__(self, start: int = 5, every: int = 0) -> None:
        super().__init__()
        at_least_zero(start=start, every=every)
        self.start, self.every = start, every
        self.count = self.step = self.validations = self.last = 0
        self._measured = True
        self._batches: deque[Tensor] = deque(maxlen=BATCHES)

    @property
    def needs_validation(self) -> bool:  # type: ignore[override]
        return not self.every

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if any(_measures(module) for module in self.model.modules()):
            self._batches.append(x.detach())
        return x, y

    def weights(self) -> None:
        self.step += 1
        if self.every and self.step > self.start and (self.step - self.start) % self.every == 0:
            self._take(self.step_taken)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        if not self.every and self.step > self.last:
            self.validations, self.last = self.validations + 1, self.step
            if self.validations > self.start:
                self._take(None)
        with super().evaluating():
            yield

    def _take(self, taken: Tensor | None) -> None:
        self.add(1 / (self.count + 1), taken)
        self.count += 1
        self._measured = False

    def put_in(self) -> None:
        super().put_in()
        if not self._measured and self._batches:
            measure_statistics(self.model, self._batches)
            for name, mean in self.means.items():
                if name not in self.trained:
                    mean.copy_(self.values[name])
            self._measured = True

    def state_dict(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in NUMBERS}
        return super().state_dict() | own | {"batches": list(self._batches)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for name in NUMBERS:
            setattr(self, name, state[name])
        self._batches = deque(state["batches"], maxlen=BATCHES)


@torch.no_grad()
def measure_statistics(model: nn.Module, batches: deque[Tensor]) -> None:
    """Set running statistics of batch normalisation to those of some batches.

    Only where it is in training mode: frozen statistics stay, unlike in torch's `update_bn`.
    """
    devices = {batch.device.index for batch in batches if batch.is_cuda}
    with modes_kept(model), torch.random.fork_rng(devices=devices):
        model.train()
        layers: list[Any] = [module for module in model.modules() if _measures(module)]
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the batches
        try:
            for batch in batches:
                model(batch)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum


def _measures(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.training and module.track_running_stats
