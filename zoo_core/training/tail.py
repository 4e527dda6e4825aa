"""The part of a network that trains: run by itself, timed, and differentiated."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo_core.chain import run_stages
from zoo_core.model.zoo_model import ZooModel
from zoo_core.types import Stage


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
