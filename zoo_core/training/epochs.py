"""Epoch after epoch: a pass over the training pictures, a validation, and a save."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator

import torch

from zoo_core.data.loader import Batch
from zoo_core.progress import Bar
from zoo_core.regularize.regularizer import Verdict
from zoo_core.training.interrupts import Awaited, Interrupts
from zoo_core.training.journal import Journal
from zoo_core.training.messages import are_finite, diverged, peak_memory, refuse_strange_numbers
from zoo_core.training.optimizer import Rates
from zoo_core.training.resume import AFTER_EPOCH, AFTER_STEP
from zoo_core.training.state import Row, TrainingState
from zoo_core.training.step import Stepper
from zoo_core.training.task import Task
from zoo_core.training.validation import validated
from zoo_core.training.what_trains import trained_range


class Epochs:
    """The epochs of a phase; `stepper` and `rates` take its steps."""

    def __init__(
        self, task: Task, stepper: Stepper, rates: Rates, state: TrainingState, journal: Journal
    ) -> None:
        self.task, self.stepper, self.rates = task, stepper, rates
        self.supply, self.state, self.journal = stepper.supply, state, journal
        self.trains = trained_range(task.model)

    def run(self, before: int, last: int) -> None:
        """Train up to epoch `last`, unless a regularizer stops; `before`: epochs of other phases.

        Raises RecipeError where a loss is no number, KeyboardInterrupt or SystemExit on a signal.
        """
        place = self.state.place
        with self._bar(last) as bar, Interrupts() as self.interrupts:
            for feed in filter(None, (self.supply.train, self.supply.val)):
                feed.waiting = self.interrupts.leave_the_wait
            while place.epoch <= last and not place.stopped:
                self._run_epoch(bar, before, last)

    def _bar(self, last: int) -> Bar:
        order, place = self.supply.train.order, self.state.place
        left = (last - place.epoch + 1) * order.size - place.step * order.batch_size
        share = max(left, 0) // self.task.processes.world
        return self.journal.console.bar("training", share, "pictures")

    def _run_epoch(self, bar: Bar, before: int, last: int) -> None:
        """Train an epoch (or the rest of one), validate, and keep what is best."""
        place, start = self.state.place, time.perf_counter()
        loss, speed, waiting = self._train(bar, before)
        row: Row = {"epoch": place.epoch, "phase": place.phase, "trains": self.trains}
        row |= {"lr": self.rates.highest, "loss": loss}
        row |= {f"penalty_{n}": p.item() for n, p in self.task.stack.penalties().items()}
        try:
            verdict = self._validate(row)
        except Awaited:  # saved as after the last step: going on means validating again
            self._save_after_step()
            raise
        row |= {"pictures_per_second": round(speed, 1), "waiting": round(waiting, 3)}
        row |= {"memory": peak_memory(self.task.processes.device)}
        row["seconds"] = round(time.perf_counter() - start, 3)
        self.state.seconds += row["seconds"]
        self.journal.say_epoch(bar, row, self.supply.train.workers)
        self._keep(row, verdict)
        place.next_epoch(stopped=verdict is Verdict.STOP)
        self._save_after_epoch(last)

    # --- a pass over the training pictures -------------------------------------------------------

    def _train(self, bar: Bar, before: int) -> tuple[float, float, float]:
        """One pass: mean loss, pictures a second, share of waiting."""
        self.task.model.train()
        place, feed = self.state.place, self.supply.train
        bar.title = f"epoch {place.epoch}/{self.task.settings.total}"
        done = place.step + (place.epoch - 1 - before) * len(feed)
        batches, seen = Timed(feed.epoch(place.epoch, place.step)), 0
        for batch in batches:
            self.rates.set(done)
            loss = self.stepper.step(batch)
            own = len(batch.y) if batch.share else 0
            place.losses.append(loss.double() * own)
            place.step, done, seen = place.step + 1, done + 1, seen + own
            bar.step(count=own, loss=loss, **self.journal.behind_the_bar)
            self._save_after_step()
        if batches.left:
            self._save_after_step()
        mean = self._mean_loss()
        seconds = batches.seconds
        if not math.isfinite(mean):
            raise self._diverged()
        return mean, seen * self.task.processes.world / seconds, min(batches.waited / seconds, 1.0)

    def _mean_loss(self) -> float:
        total = self.task.processes.sum(torch.stack(self.state.place.losses).sum())
        return float(total.item()) / self.supply.train.order.size

    def _diverged(self, of: str = "") -> Exception:
        refuse_strange_numbers(self.task.train_set, self.task.val_set)
        return diverged(self.task.stack, self.state.place.epoch, self.task.settings.rate, of=of)

    # --- validation, and the best ----------------------------------------------------------------

    def _validate(self, row: Row) -> Verdict:
        """Add the metrics of the validation pictures to a row, and ask the regularizers."""
        if self.supply.val is None:
            if not are_finite(p for p in self.task.model.parameters() if p.requires_grad):
                raise self._diverged()
            return Verdict.CONTINUE
        start, stack = time.perf_counter(), self.task.stack
        with stack.evaluating():
            metrics = validated(self.task, self.supply, self.supply.val)
        if not math.isfinite(metrics["loss"]):
            raise self._diverged(of="validation ")
        row |= {f"val_{key}": value for key, value in metrics.items()}
        verdict = stack.validation(metrics | {"train_loss": row["loss"]})
        self.state.validating += time.perf_counter() - start
        return verdict

    def _keep(self, row: Row, verdict: Verdict) -> None:
        """Add an epoch to the record, and note whether it is the best one."""
        stack, state = self.task.stack, self.state
        state.history.append(row)
        self.journal.add_row(row)
        begun = all(member.begun for member in stack.members)
        if state.tried.is_better(row, verdict, begun):
            with stack.evaluating():  # with the averages that were validated
                state.keep_best(self.task.model, row)
                self.journal.save_best()

    # --- saves -----------------------------------------------------------------------------------

    def _save_after_step(self) -> None:
        """Save inside an epoch when it is time, and before the end where a signal came.

        Several processes would have to agree on a step, so they save between epochs only.
        """
        if self.task.processes.world > 1:
            self.interrupts.raise_caught()
        elif self.interrupts.caught is not None or self.journal.is_due(AFTER_STEP):
            self._save()
            self.interrupts.raise_caught()

    def _save_after_epoch(self, last: int) -> None:
        place = self.state.place
        over = place.epoch > last or place.stopped or self.interrupts.caught is not None
        if self.task.processes.from_main(over or self.journal.is_due(AFTER_EPOCH)):
            self._save()
        self.interrupts.raise_caught()

    def _save(self) -> None:
        self.journal.save(functools.partial(self.state.saved, self.task, self.stepper.optimizer))


class Timed:
    """Batches, with the seconds since the first was asked for, and those `waited` for them.

    `left`: a signal came while one was waited for, so there are no more.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.batches, self.left = batches, False
        self.begun, self.waited = time.perf_counter(), 0.0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            asked = time.perf_counter()
            try:
                batch = next(self.batches, None)
            except Awaited:
                self.left, batch = True, None
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    @property
    def seconds(self) -> float:
        """Seconds so far; never 0."""
        return max(time.perf_counter() - self.begun, 1e-9)
