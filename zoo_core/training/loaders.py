"""The batches of a phase: of pictures, or of the activations that its frozen part gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo_core.chain import owner
from zoo_core.data.lanes import Lanes, StreamFeed
from zoo_core.data.loader import Feed, Order
from zoo_core.data.pictures import Pictures, is_tensor_item
from zoo_core.data.samples import FixedViews, Samples
from zoo_core.data.transforms import build_transform
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache.prefix import Prefix
from zoo_core.training.settings import CROP, Settings
from zoo_core.training.task import Task

TRAIN, VAL = "training pictures", "validation pictures"


class Supply:
    """Batches for training and validation, for what trains in a phase.

    `sets`: samples by title, which hold activations where `cached`. `prefix`: the frozen part, or
    None. `train`, `val`: the batches. `say`: takes a line where fewer processes read than asked.
    """

    def __init__(
        self,
        task: Task,
        sets: Mapping[str, Samples],
        prefix: Prefix | None,
        *,
        cached: bool,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.task, self.sets, self.prefix, self.cached = task, sets, prefix, cached
        settings = task.settings
        balance = task.train_set.targets if settings.balance == "sampler" else None
        self.train = self._feed(sets[TRAIN], seed=settings.seed, balance=balance, say=say)
        self.val = self._feed(sets[VAL]) if VAL in sets else None

    def entering(self, x: Tensor) -> Tensor:
        """What enters the part that trains, on its device, from what a batch holds."""
        if self.prefix is not None and not self.cached:
            return self.prefix(x)
        first = next(self.task.model.parameters())
        dtype = None if self.cached else first.dtype  # activations have a type of their own
        return x.to(device=first.device, dtype=dtype, non_blocking=True)

    def close(self) -> None:
        """End the processes that read pictures."""
        self.train.close()
        if self.val is not None:
            self.val.close()

    def in_order(self) -> Feed:
        """The training pictures as evaluation sees them, or their activations, in order."""
        samples = self.sets[TRAIN]
        if samples.random:
            samples = _samples(self.task, samples.pictures, False)
        return self._feed(samples)

    def _feed(
        self,
        samples: Samples,
        *,
        seed: int | None = None,
        balance: Any = None,
        say: Callable[[str], None] | None = None,
    ) -> Feed:
        settings, processes = self.task.settings, self.task.processes
        if samples.pictures.streamed:
            rows = samples.pictures.rows  # type: ignore[attr-defined]
            rank, world = processes.rank, processes.world
            lanes = Lanes(rows, settings.batch_size, seed=settings.seed, rank=rank, world=world)
            return StreamFeed(samples, lanes, settings.workers, say)
        order = Order(
            len(samples),
            settings.batch_size,
            seed=seed,
            rank=processes.rank,
            world=processes.world,
            balance=balance,
        )
        feed = Feed(samples, order, settings.workers, say)
        if samples.held is not None:
            samples.held = _on(processes.device, samples.held)
        return feed


def _on(device: torch.device, rows: Any) -> Any:
    """On the GPU where it takes no more than a quarter of what is free there."""
    if device.type != "cuda" or not isinstance(rows, Tensor):  # mapped
        return rows
    free, _ = torch.cuda.mem_get_info(device)
    return rows.to(device) if rows.numel() * rows.element_size() < free / 4 else rows


def sample_sets(task: Task) -> dict[str, Samples]:
    """The pictures of a task as samples, by title: augmented to train with, plain to validate."""
    augment = augmented(task.settings, task.model, task.train_set)
    sets = {TRAIN: _samples(task, task.train_set, augment)}
    if task.val_set is not None:
        sets[VAL] = _samples(task, task.val_set, False)
    return sets


def _samples(task: Task, pictures: Pictures, augment: bool | int | str) -> Samples:
    model, seed = task.model, task.settings.seed
    plain = model.transform()
    if augment is False:
        return Samples(pictures, plain, random=False, seed=seed)
    mirrors = model.input.flip and augment != CROP and task.settings.mirrors is not False
    transform = build_transform(replace(model.input, flip=mirrors), train=True)
    if augment is True or isinstance(augment, str):
        return Samples(pictures, transform, random=True, seed=seed)
    return FixedViews(pictures, transform, seed=seed, views=augment, plain=plain, mirrors=mirrors)


def augmented(settings: Settings, model: ZooModel, pictures: Pictures) -> bool | int | str:
    """How pictures are augmented: not, anew each time, by crops alone, or by so many fixed views.

    "auto" means anew, when more than the head trains.
    """
    augment = settings.augment
    if is_tensor_item(pictures):
        if augment not in ("auto", False):
            message = "Tensors count as preprocessed and cannot be augmented."
            raise RecipeError(message, hint="Give PIL pictures.")
        return False
    if augment == "auto":
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        augment = any(owner(model.chain, name) != "head" for name in trained)
    return CROP if augment is True and settings.mirrors is False else augment
