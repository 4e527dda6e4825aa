"""The frozen part of a network: where it ends, and how it runs.

It runs without a graph, and always on the same number of rows: a last batch is filled up and cut.
Kernels differ by the number of rows, so only then are activations the same numbers, bit for bit,
whatever batch a picture comes in.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo_core.chain import reach, run_stages
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import called
from zoo_core.regularize.stack import Stack
from zoo_core.training.memory import clear, ran_out
from zoo_core.training.task import Task
from zoo_core.transfer.freezing import still_frozen
from zoo_core.types import Stage

ROWS = 4  # matrix products take so many rows at once, and another way for the rest of them


def frozen_stages(model: ZooModel) -> list[Stage]:
    """The first stages, as far as nothing in them moves: no weight, no statistics, no dropout."""
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    frozen = set(still_frozen(model, model._freezing)) if model._freezing else set()
    still: list[Stage] = []
    for stage in model.chain.values():
        inside = [name for name, _ in model.named_modules() if name and reach(stage).has(name)]
        if any(stage.has(name) for name in learns) or not frozen.issuperset(inside):
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
            outputs = [self.run(_filled(part, self.rows))[: len(part)] for part in parts]
        # Kernels differ by the order in memory, too: what was stored comes back in the plain one.
        return outputs[0].contiguous() if len(outputs) == 1 else torch.cat(outputs).contiguous()


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


def prefix_of(task: Task, say: Callable[[str], None]) -> Prefix | None:
    """The frozen part of what trains now; None where there is none.

    Nor is there one where regularizers make other pictures, which it would have to see: they get
    pictures, then, and the model runs as a whole.
    """
    stages = [] if other_pictures(task.stack) else frozen_stages(task.model)
    if not stages:
        return None
    local = math.ceil(task.settings.batch_size / task.processes.world)
    rows = rows_for(local, task.processes.device)
    return Prefix(
        task.model,
        stages,
        rows,
        task.precision.autocast,
        compile=task.settings.compile,
        say=say,
    )


def other_pictures(stack: Stack) -> list[str]:
    """The names of regularizers that make other pictures in each step."""
    return [called(member) for member in stack.members if member.changes_pictures]
