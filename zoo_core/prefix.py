"""The frozen part of a network: where it ends, and how it runs.

It runs without a graph, and always on the same number of rows: a last batch is filled up and cut.
Kernels differ by the number of rows, so only then are activations the same numbers, bit for bit,
whatever batch a picture comes in.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo_core.chain import reach, run_stages
from zoo_core.memory import clear, ran_out
from zoo_core.model.zoo_model import ZooModel
from zoo_core.types import Stage

ROWS = 4  # matrix products take so many rows at once, and another way for the rest of them


def frozen_stages(model: ZooModel) -> list[Stage]:
    """The first stages, as far as nothing in them moves: no weight, no statistics, no dropout."""
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    held = set(model._freezing.modules) if model._freezing else set()
    still: list[Stage] = []
    for stage in model.chain.values():
        inside = [name for name, _ in model.named_modules() if name and reach(stage).has(name)]
        if any(stage.has(name) for name in learns) or not held.issuperset(inside):
            break
        still.append(stage)
    return still


class Prefix:
    """The stages before the first that trains, as a function of pictures.

    `rows`: how many pictures it takes at once; halved where a GPU has no memory for them.
    `autocast`: the context of mixed precision. `say`: what takes a line for people. Gives
    activations (N, …) on the device of the model, in the type that comes out.
    """

    def __init__(
        self,
        model: ZooModel,
        stages: Sequence[Stage],
        rows: int,
        autocast: Callable[[], contextlib.AbstractContextManager[None]],
        *,
        compile: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.model, self.stages, self.rows, self.autocast = model, list(stages), rows, autocast
        self.say = say
        names = list(model.chain)
        self.boundary = names[len(self.stages)]
        run = functools.partial(run_stages, model, self.stages)
        self.run: Callable[[Tensor], Tensor] = torch.compile(run) if compile else run

    def __call__(self, x: Tensor) -> Tensor:
        while True:
            try:
                return self._in_parts(x)
            except RuntimeError as error:
                if self.rows == 1 or not ran_out(error):
                    raise
            self.rows = math.ceil(self.rows / 2)
            clear()
            self.say(f"Out of memory: the frozen part now takes {self.rows} pictures at once.")

    def _in_parts(self, x: Tensor) -> Tensor:
        first = next(self.model.parameters())
        parts = x.to(first.device, first.dtype, non_blocking=True).split(self.rows)
        with torch.no_grad(), self.autocast():
            found = [self.run(_filled(part, self.rows))[: len(part)] for part in parts]
        # Kernels differ by the order in memory, too: what was stored comes back in the plain one.
        return found[0].contiguous() if len(found) == 1 else torch.cat(found).contiguous()


def _filled(x: Tensor, rows: int) -> Tensor:
    return x if len(x) == rows else torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])])


def rows_for(batch_size: int, device: torch.device) -> int:
    """How many rows a prefix takes for batches of this size.

    On a CPU a row's last bits depend on its place in the batch, unless the threads share the rows
    evenly and no matrix product has a rest. On a GPU it is the size itself.
    """
    if device.type != "cpu" or batch_size == 1:
        return batch_size
    even = math.lcm(ROWS, torch.get_num_threads())
    return math.ceil(batch_size / even) * even


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
