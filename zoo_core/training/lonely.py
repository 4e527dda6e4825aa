"""Normalisation over a batch that has one value to go by: refused before training."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_core.data.loader import Order
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.task import Task
from zoo_core.training.what_trains import freeze
from zoo_core.transfer.modes import evaluating, modes_kept


def refuse_lonely(task: Task) -> None:
    """Raise RecipeError where a step of any phase would normalise one picture by itself."""
    settings, world = task.settings, task.processes.world
    order = Order(len(task.train_set), settings.batch_size, seed=settings.seed, world=world)
    if smallest_part(order, settings.accumulate) > 1 or not settings.total:
        return
    for phase in settings.phases():
        freeze(task.model, phase.what)
        if names := lonely_norms(task.model, _like(task)):
            pieces = f", accumulate={settings.accumulate}" if settings.accumulate > 1 else ""
            shared = f" on {world} processes" if world > 1 else ""
            raise RecipeError(
                f"{names[0]} normalises over the pictures of a step, and with batch_size="
                f"{settings.batch_size}{pieces}{shared} a step on {order.size} pictures has one.",
                hint="Choose another batch_size, or freeze that layer (freeze_until).",
            )


def smallest_part(order: Order, pieces: int) -> int:
    """The fewest samples that are computed at once, by any process."""
    sizes = set(order.sizes())
    return min(part for size in sizes for part in _parts(size, order.world, pieces))


def _parts(size: int, world: int, pieces: int) -> Iterator[int]:
    most = math.ceil(size / world)
    for rank in range(world):
        own = max(min(most, size - rank * most), 1)  # one stands in, so that each takes part
        yield from map(len, torch.empty(own).chunk(pieces))


def _like(task: Task) -> Tensor:
    """What two pictures look like to the model, (2, C, H, W)."""
    item = task.train_set.read(0)
    return torch.zeros(2, *(item.shape if isinstance(item, Tensor) else task.model.input.size))


def lonely_norms(model: ZooModel, x: Tensor) -> list[str]:
    """The norms that go by the batch in training, and see one value of a channel in a picture."""
    seen: list[str] = []

    def look(name: str, h: Tensor) -> None:
        if h.numel() == h.shape[0] * h.shape[1]:
            seen.append(name)

    def watch(name: str, norm: nn.Module) -> None:
        hook = norm.register_forward_pre_hook(lambda module, inputs: look(name, inputs[0]))
        hooks.callback(hook.remove)

    first = next(model.parameters())
    with contextlib.ExitStack() as hooks, torch.no_grad():
        for name, norm in _by_the_batch(model):
            watch(name, norm)
        with evaluating(model):
            model(x.to(first.device, first.dtype))
    return seen


def _by_the_batch(model: ZooModel) -> list[tuple[str, nn.Module]]:
    """The norms that take the statistics of the batch while the model trains as it is frozen."""
    with modes_kept(model):
        model.train()
        named = model.named_modules()
        return [(n, m) for n, m in named if isinstance(m, _BatchNorm) and m.training]
