"""One phase of a training: what is frozen, what is read, and the epochs on it."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.training.cache.decision import cached
from zoo_core.training.cache.fill import Caching
from zoo_core.training.cache.forecast import Forecast, forecast
from zoo_core.training.cache.prefix import prefix_of
from zoo_core.training.epochs import Epochs
from zoo_core.training.head import soften_head, solve_head, solves_head
from zoo_core.training.journal import Journal
from zoo_core.training.loaders import Supply, sample_sets
from zoo_core.training.messages import what_the_cache_saved
from zoo_core.training.optimizer import Rates, make_optimizer
from zoo_core.training.resume import taking_up
from zoo_core.training.state import Row, TrainingState, take_up
from zoo_core.training.step import Stepper
from zoo_core.training.tail import Tail, entered
from zoo_core.training.task import Task
from zoo_core.training.validation import scores_of, validated
from zoo_core.training.what_trains import freeze, trained_range
from zoo_core.transfer.snapshot import Snapshot


class Phase:
    """The phase of a number (from 1), with its pictures or activations at hand.

    `saved`: where it stood when it was stopped in this phase, else None. `cache`: what became of
    its cache, as facts or as the reason why there is none.
    """

    def __init__(
        self,
        task: Task,
        number: int,
        state: TrainingState,
        journal: Journal,
        saved: Mapping[str, Any] | None,
    ) -> None:
        self.task, self.number, self.state = task, number, state
        self.journal, self.saved = journal, saved
        self.plans = task.settings.phases()
        self.plan = self.plans[number - 1]
        state.place.phase = number
        freeze(task.model, self.plan.what)
        if saved is not None:
            Snapshot.of(saved["model"]).restore(task.model)
        self.solves = number == 1 and saved is None and solves_head(task)
        sets, prefix = sample_sets(task), prefix_of(task, journal.say)
        before = len(prefix.stages) if prefix is not None else 0
        rest = list(task.model.chain.values())[before:]
        self.tail = Tail(task.model, rest, task.precision)
        start = time.perf_counter()
        self.cache = cached(task, prefix, sets, journal.console, self._forecast)
        took = time.perf_counter() - start
        state.caching, state.seconds = state.caching + took, state.seconds + took
        has_cache = isinstance(self.cache, dict)
        self.supply = Supply(task, sets, prefix, cached=has_cache, say=journal.say)
        state.caches[number] = self.cache

    def run(self, reference: Mapping[str, Tensor]) -> None:
        """Train its epochs, or what is left of them. `reference`: the pretrained weights."""
        task, model, settings = self.task, self.task.model, self.task.settings
        with self._entered():
            if self.solves:
                self._solve_head()
            optimizer = make_optimizer(model, settings)
            stepper = Stepper(task, self.supply, self._forward(), optimizer, self.state.fitting)
            steps = len(self.supply.train)
            rates = Rates(optimizer, settings, steps, steps * self.plan.epochs)
            scaler = task.precision.scaler
            task.stack.attach(model, reference=reference, optimizer=optimizer, scaler=scaler)
            if self.saved is not None:
                with taking_up(self.journal.path):
                    take_up(task, optimizer, self.saved)
            self._begin_to_write(optimizer)
            self._run_epochs(Epochs(task, stepper, rates, self.state, self.journal))
            if self.number < len(self.plans) and not self.state.place.stopped:
                task.stack.release()
        self.journal.say(what_the_cache_saved(self.cache))

    def scores(self) -> Tensor | None:
        """The scores (N, C) of the validation pictures; None without validation."""
        if self.supply.val is None:
            return None
        with self._entered():
            return scores_of(self.task, self.supply, self.supply.val)

    def close(self) -> None:
        """Let go of what reads pictures."""
        self.supply.close()

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """The model takes what enters its first trained stage, where what is before is frozen."""
        again = self.task.settings.checkpointing
        if self.supply.prefix is None and not again:
            yield
            return
        with entered(self.task.model, self.tail.stages, checkpointing=again):
            yield

    def _forecast(self, caching: Caching) -> Forecast:
        """What a cache would save in this phase."""
        return forecast(
            caching.cost(),
            self.tail.seconds(caching.batch(), self.state.fitting),
            list(caching.sets.values()),
            self.task.settings,
            epochs=self.plan.epochs,
            passes=int(self.solves),
            missing=caching.computed,
        )

    def _forward(self) -> Any:
        """The model as it is called for gradients: joined with other processes, and compiled."""
        processes = self.task.processes
        idle = processes.world > 1 and self._has_idle_weights()
        forward: Any = processes.joined(self.task.model, idle=idle)
        return torch.compile(forward) if self.task.settings.compile else forward

    def _has_idle_weights(self) -> bool:
        batch = next(self.supply.train.epoch(1))
        return self.tail.has_idle_weights(self.supply.entering(batch.x)[:2])

    def _solve_head(self) -> None:
        """Solve the new head in closed form; it counts as what came before the first epoch."""
        start = time.perf_counter()
        solved = solve_head(self.task, self.supply)
        how = "by logistic regression" if solved.logistic else "in closed form"
        line = f"Head solved {how}: {solved.left_out.accuracy:.1%} leave-one-out"
        row: Row = {"epoch": 0, "phase": 1, "trains": "head", "loss": solved.left_out.loss}
        row |= {"strength": solved.strength}
        if self.supply.val is not None:
            metrics = validated(self.task, self.supply, self.supply.val)
            row |= {f"val_{key}": value for key, value in metrics.items()}
            line += f", {metrics['accuracy']:.1%} on validation"
        self.journal.say(f"{line}.")
        self.state.keep_best(self.task.model, row)
        self.state.tried.floor = row.get("val_loss", math.inf)
        factor = soften_head(self.task, self.supply) if self.task.settings.total else 1.0
        if factor < 1:
            self.journal.say(f"Training goes on from it with its scores times {factor:.2g}.")
        self.state.seconds += time.perf_counter() - start

    def _begin_to_write(self, optimizer: torch.optim.Optimizer) -> None:
        """The first files; a head that was solved is the best so far, and without epochs all."""
        state, journal = self.state, self.journal
        if not journal.begin(state.history) or not self.solves:
            return
        journal.save_best(state.best.tensors)
        if not self.task.settings.total:
            state.history.append(state.best_row)
            journal.add_row(state.best_row)
            journal.save(functools.partial(state.saved, self.task, optimizer))

    def _run_epochs(self, epochs: Epochs) -> None:
        if len(self.plans) > 1:
            trains = trained_range(self.task.model)
            self.journal.say(f"Phase {self.number} of {len(self.plans)}: {trains}.")
        before = sum(plan.epochs for plan in self.plans[: self.number - 1])
        start = time.perf_counter()
        epochs.run(before, before + self.plan.epochs)
        if isinstance(self.cache, dict):
            self.cache["training"] = time.perf_counter() - start
