"""The part of a network that trains: run by itself, timed, and differentiated."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from zoo_core.chain import run_stages
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.memory import Fitting
from zoo_core.training.precision import Precision
from zoo_core.transfer.modes import evaluating
from zoo_core.types import Stage


@dataclass(frozen=True)
class Tail:
    """The stages of a model from the first that trains on."""

    model: ZooModel
    stages: Sequence[Stage]
    precision: Precision

    def gradients(self, h: Tensor) -> Sequence[Tensor | None]:
        """Those of all that trains, from activations and in eval mode; nothing changes."""
        weights = [p for p in self.model.parameters() if p.requires_grad]
        with entered(self.model, self.stages), evaluating(self.model):
            with self.precision.autocast():
                outputs = self.model(h)
            loss = functional.cross_entropy(outputs.float(), outputs.argmax(1))
            return torch.autograd.grad(loss, weights, allow_unused=True)

    def has_idle_weights(self, h: Tensor) -> bool:
        """Whether something trains that no activation reaches, as auxiliary heads do."""
        return any(gradient is None for gradient in self.gradients(h))

    def seconds(self, h: Tensor, fitting: Fitting) -> float:
        """Seconds of a pass forward and backward over a batch; nothing in the model changes."""
        parts = fitting.run(self.model, lambda pieces: self._timed(h, pieces), len(h))
        return float(parts.min())

    def _timed(self, h: Tensor, pieces: int) -> Tensor:
        """Seconds of two steps on a batch: at the first, kernels are chosen and memory is found."""
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            for part in h.chunk(pieces):
                self.gradients(part)
            if h.is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return torch.tensor(seconds)


@contextlib.contextmanager
def entered(
    model: ZooModel, stages: Sequence[Stage], *, checkpointing: bool = False
) -> Iterator[None]:
    """Inside, the model takes what enters the first of some stages, and runs these only.

    `checkpointing`: keep no activations inside a stage, but compute them again for the gradients.
    """
    run = _checkpointed if checkpointing else run_stages
    outer = model.__dict__.get("forward")
    model.forward = functools.partial(run, model, list(stages))
    try:
        yield
    finally:
        del model.forward
        if outer is not None:
            model.forward = outer


def _checkpointed(model: nn.Module, stages: Sequence[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        if torch.is_grad_enabled():
            how: Any = {"use_reentrant": False, "context_fn": functools.partial(_contexts, model)}
            x = checkpoint(run_stages, model, [stage], x, **how)
        else:
            x = run_stages(model, [stage], x)
    return x


def _contexts(model: nn.Module) -> tuple[Any, Any]:
    """Around a stage's first pass, and around the second, for the gradients."""
    return contextlib.nullcontext(), _Unmoved(model)


class _Unmoved:
    """Batch statistics that have moved in the first pass of a step stay so in the second."""

    def __init__(self, model: nn.Module) -> None:
        training = (module for module in model.modules() if module.training)
        self.buffers = [b for module in training for b in module.buffers(recurse=False)]

    def __enter__(self) -> None:
        self.before = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def __exit__(self, *error: object) -> None:
        for buffer, before in zip(self.buffers, self.before, strict=True):
            buffer.copy_(before)
