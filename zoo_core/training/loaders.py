"""What a phase of a training reads: pictures, or the activations that its frozen part gives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.chain import owner
from zoo_core.data.loader import Feed, Order
from zoo_core.data.pictures import Pictures, is_tensor_item
from zoo_core.data.samples import FixedViews, Samples
from zoo_core.errors import RecipeError
from zoo_core.humanize import byte_size
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.stack import Stack
from zoo_core.training.cache.decision import (
    hint,
    in_each_step,
    is_channels_last,
    other_pictures,
)
from zoo_core.training.cache.fill import Caching
from zoo_core.training.cache.forecast import forecast
from zoo_core.training.cache.prefix import Prefix, frozen_stages, rows_for
from zoo_core.training.distributed import Processes
from zoo_core.training.memory import Fitting
from zoo_core.training.precision import Precision
from zoo_core.training.settings import Settings
from zoo_core.training.tail import entered
from zoo_core.transfer.modes import evaluating
from zoo_core.types import Stage

TRAIN, VAL = "training pictures", "validation pictures"


class Supply:
    """Batches for training and validation, for what trains in a phase.

    `prefix`: the frozen part, or None. `train`, `val`: the batches, of activations where
    `cached`. `cache`: what became of the cache, as facts or as the reason why there is none.
    `epochs`: how many there are; `passes`: over the training pictures besides.
    """

    def __init__(
        self,
        model: ZooModel,
        train_set: Pictures,
        val_set: Pictures | None,
        settings: Settings,
        stack: Stack,
        processes: Processes,
        precision: Precision,
        fitting: Fitting,
        *,
        epochs: int,
        passes: int,
        say: Callable[[str], None],
        progress: bool,
    ) -> None:
        self.model, self.settings, self.stack = model, settings, stack
        self.processes, self.precision, self.fitting = processes, precision, fitting
        self.epochs, self.passes, self.say, self.progress = epochs, passes, say, progress
        self.cached, self.multilabel = False, train_set.multilabel
        augment = augmented(settings.augment, model, train_set)
        self.sets = {TRAIN: self._samples(train_set, augment)}
        if val_set is not None:
            self.sets[VAL] = self._samples(val_set, False)
        self.prefix = self._prefix()
        self.cache: dict[str, Any] | str = self._cache()
        balance = train_set.targets if settings.balance == "sampler" else None
        self.train = self._feed(self.sets[TRAIN], seed=settings.seed, balance=balance)
        self.val = self._feed(self.sets[VAL]) if val_set is not None else None

    def entering(self, x: Tensor) -> Tensor:
        """What enters the part that trains, on its device, from what a batch holds."""
        if self.prefix is not None and not self.cached:
            return self.prefix(x)
        first = next(self.model.parameters())
        dtype = None if self.cached else first.dtype  # activations have a type of their own
        return x.to(device=first.device, dtype=dtype, non_blocking=True)

    @property
    def rest(self) -> list[Stage]:
        """The stages after the frozen part."""
        before = len(self.prefix.stages) if self.prefix else 0
        return list(self.model.chain.values())[before:]

    def close(self) -> None:
        """End the processes that read pictures."""
        self.train.close()
        if self.val is not None:
            self.val.close()

    def in_order(self) -> Feed:
        """The training pictures as evaluation sees them, or their activations, in order."""
        samples = self.sets[TRAIN]
        if samples.random:
            samples = self._samples(samples.pictures, False)
        return self._feed(samples)

    def _feed(self, samples: Samples, **order: Any) -> Feed:
        given = {"seed": None, **order}
        where = {"rank": self.processes.rank, "world": self.processes.world}
        listed = Order(len(samples), self.settings.batch_size, **given, **where)
        feed = Feed(samples, listed, self.settings.workers)
        if samples.held is not None:
            samples.held = _on(self.processes.device, samples.held)
        return feed

    def _samples(self, pictures: Pictures, augment: bool | int) -> Samples:
        model, seed = self.model, self.settings.seed
        plain = model.transform()
        if augment is False:
            return Samples(pictures, plain, random=False, seed=seed)
        transform = model.transform(train=True)
        if augment is True:
            return Samples(pictures, transform, random=True, seed=seed)
        mirrors = model.input.flip
        return FixedViews(
            pictures, transform, seed=seed, views=augment, plain=plain, mirrors=mirrors
        )

    def _prefix(self) -> Prefix | None:
        """The frozen part; none where regularizers make other pictures, which it would have to see.

        They get pictures, then, and the model runs as a whole.
        """
        stages = [] if other_pictures(self.stack) else frozen_stages(self.model)
        if not stages:
            return None
        local = math.ceil(self.settings.batch_size / self.processes.world)
        rows, compile = rows_for(local, self.processes.device), self.settings.compile
        how: Any = {"compile": compile, "say": self.say}
        return Prefix(self.model, stages, rows, self.precision.autocast, **how)

    # --- the cache -------------------------------------------------------------------------------

    def _cache(self) -> dict[str, Any] | str:
        """Put activations in the place of pictures, where that is wanted, right, and pays."""
        if self.settings.cache is False:
            return "not wanted"
        caching = self._caching()
        reason = self._nothing_to_cache() if caching is None else caching.against()
        if reason or caching is None:
            return self._not_cached(reason)
        facts: dict[str, Any] = {"boundary": caching.prefix.boundary}
        if caching.is_ready():
            self.say(f"Cached: what enters {caching.prefix.boundary}, from an earlier training.")
            facts["reused"] = True
        else:
            told = self._forecast(caching)
            if self.settings.cache == "auto" and not self.processes.from_main(told.pays):
                return self._not_cached(f"it would save no time ({told})")
            rows = f"{caching.rows:,} rows, {byte_size(told.bytes)}"
            self.say(f"Caching what enters {caching.prefix.boundary}: {rows}.")
            self.say(f"That takes {told}.")
            facts |= {"bytes": told.bytes, "without": told.without}
            facts["predicted"] = told.building + told.training
        start = time.perf_counter()
        reason = caching.fill()
        if reason:
            return self._not_cached(reason)
        self.cached = True
        return facts | {"building": time.perf_counter() - start}

    def _caching(self) -> Caching | None:
        if self.prefix is None:
            return None
        return Caching(
            self.model,
            self.prefix,
            self.sets,
            batch_size=self.settings.batch_size,
            workers=self.settings.workers,
            made_of={
                "precision": self.precision.name,
                "compile": self.settings.compile,
                "channels_last": any(map(is_channels_last, self.model.parameters())),
            },
            processes=self.processes,
            say=self.say,
            progress=self.progress,
        )

    def _nothing_to_cache(self) -> str:
        names = other_pictures(self.stack)
        if names:
            return in_each_step(names)
        return f"nothing before {next(iter(self.model.chain))} is frozen as a whole stage"

    def _not_cached(self, reason: str) -> str:
        if self.settings.cache is True:
            raise RecipeError(f"cache=True cannot be: {reason}.", hint=hint(reason))
        if self.model.frozen:
            self.say(f"Not cached: {reason}.")
        return reason

    def _forecast(self, caching: Caching) -> Any:
        tail = self._tail_seconds(caching.first)
        return forecast(
            caching.cost(),
            tail,
            list(self.sets.values()),
            batch_size=self.settings.batch_size,
            workers=self.settings.workers,
            epochs=self.epochs,
            passes=self.passes,
        )

    def _tail_seconds(self, h: Tensor) -> float:
        """Seconds of the part that trains, forward and backward; nothing in the model changes."""
        parts = self.fitting.run(self.model, lambda pieces: self._timed(h, pieces), len(h))
        return float(parts.min())

    def _timed(self, h: Tensor, pieces: int) -> Tensor:
        """Seconds of two steps on a batch: at the first, kernels are chosen and memory is found."""
        found = []
        for _ in range(2):
            start = time.perf_counter()
            for part in h.chunk(pieces):
                self._gradients(part)
            if h.is_cuda:
                torch.cuda.synchronize()
            found.append(time.perf_counter() - start)
        return torch.tensor(found)

    def has_idle_weights(self) -> bool:
        """Whether something trains that no picture reaches, as auxiliary heads do."""
        h = self.entering(next(self.train.epoch(1)).x)[:2]
        return any(gradient is None for gradient in self._gradients(h))

    def _gradients(self, h: Tensor) -> Sequence[Tensor | None]:
        """Those of all that trains, from activations and in eval mode; nothing changes."""
        weights = [p for p in self.model.parameters() if p.requires_grad]
        with entered(self.model, self.rest), evaluating(self.model):
            with self.precision.autocast():
                outputs = self.model(h)
            loss = functional.cross_entropy(outputs.float(), outputs.argmax(1))
            return torch.autograd.grad(loss, weights, allow_unused=True)


def _on(device: torch.device, held: Tensor) -> Tensor:
    """On the GPU where it takes no more than a quarter of what is free there."""
    if device.type != "cuda":
        return held
    free, _ = torch.cuda.mem_get_info(device)
    return held.to(device) if held.numel() * held.element_size() < free / 4 else held


def augmented(augment: bool | str | int, model: ZooModel, pictures: Pictures) -> bool | int:
    """How pictures are augmented: not, anew each time, or as a number of fixed views.

    "auto" means anew, when more than the head trains.
    """
    if is_tensor_item(pictures):
        if augment not in ("auto", False):
            message = "Tensors count as preprocessed and cannot be augmented."
            raise RecipeError(message, hint="Give PIL pictures.")
        return False
    if augment == "auto":
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        return any(owner(model.chain, name) != "head" for name in trained)
    return augment  # type: ignore[return-value]
