"""The training loop: phases of a schedule, epochs, steps, validations, and the best of them.

The frozen part runs apart from the part that trains (`prefix.py`), so that it can be computed once
(`caching.py`). On one process nothing stands between the loop and PyTorch.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from zoo_core.data.loader import Feed
from zoo_core.data.pictures import Pictures
from zoo_core.errors import RecipeError
from zoo_core.model.base import saved_names
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel, pretrained_part
from zoo_core.progress import Bar
from zoo_core.regularize.regularizer import Verdict
from zoo_core.regularize.stack import Stack
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.recipe import REPORT
from zoo_core.training.distributed import Processes
from zoo_core.training.head import solve_head, solves_head
from zoo_core.training.interrupts import Clock, Interrupts
from zoo_core.training.loaders import Supply
from zoo_core.training.memory import Fitting
from zoo_core.training.messages import (
    are_finite,
    behind_the_bar,
    diverged,
    epoch_line,
    is_slow,
    peak_memory,
    what_did_not_begin,
    what_is_slow,
    what_the_cache_saved,
)
from zoo_core.training.optimizer import Rates, make_optimizer
from zoo_core.training.precision import Precision
from zoo_core.training.recipe import model_recipe
from zoo_core.training.report.findings import cost_of, findings_of
from zoo_core.training.report.page import write_report
from zoo_core.training.resume import (
    AFTER_EPOCH,
    AFTER_STEP,
    LAST,
    STATE,
    load_state,
    random_state,
    save_state,
)
from zoo_core.training.settings import Phase, Settings
from zoo_core.training.state import Place, Tried, go_back, state_of, take_up
from zoo_core.training.step import Loss, Stepper
from zoo_core.training.tail import entered
from zoo_core.training.tracking import Tracker
from zoo_core.training.validation import scores_of, validated
from zoo_core.training.what_trains import apply, trained_range
from zoo_core.transfer.snapshot import Snapshot, moving
from zoo_core.weights.hashes import tensor_digest


class Session:
    """One fine-tune under way."""

    def __init__(
        self,
        model: ZooModel,
        train_set: Pictures,
        val_set: Pictures | None,
        settings: Settings,
        stack: Stack,
        processes: Processes,
        *,
        recipe: dict[str, Any],
        folder: RunFolder | None,
        tracker: Tracker,
        progress: bool,
    ) -> None:
        self.model, self.train_set, self.val_set = model, train_set, val_set
        self.settings, self.stack, self.processes = settings, stack, processes
        self.folder, self.tracker = folder if processes.main else None, tracker
        self.progress = progress and processes.main
        self.device = processes.device
        self.precision = Precision(settings.precision, self.device)
        self.fitting = Fitting(settings.accumulate, self._say)
        weighted = settings.balance == "weights"
        self.loss = Loss(train_set, model.num_outputs, weighted=weighted)
        self.phases = settings.phases()
        self.total = sum(phase.epochs for phase in self.phases)
        self.record = Run(model, recipe, path=folder.path if folder else None)
        self.clock = Clock()
        self.place = Place()
        self.tried = Tried()
        self.seconds = self.validating = 0.0
        self.caches: dict[int, dict[str, Any] | str] = {}  # of each phase, what became of it
        self.shown: dict[str, Any] = {}  # behind the bar
        self.told_slow = self.writes = False
        self.new_head = model.origin.new_head

    # --- from the start to the end ---------------------------------------------------------------

    def run(self, *, resume: bool) -> Run:
        """Train to the end, restore the best weights, write the folder."""
        model, record = self.model, self.record
        self._move()
        self.reference = pretrained_part(model)
        self.moved = self._moved()
        self.base = self._identity_of_the_start() if record.path else ""
        self.names = saved_names(model, self.moved) if self.record.path else ()
        path = record.path if resume else None
        state = self.processes.first(lambda: load_state(path) if path else None)
        self.start = Snapshot(model, self.moved)
        self.best = self.start
        try:
            if state is not None:
                self._go_back_to(state)
            if not self._is_finished():
                self._train(state)
                self.stack.detach()
                self._say(what_did_not_begin(self.stack))
        except (KeyboardInterrupt, SystemExit):
            self._say_stopped()
            raise
        finally:
            self.stack.release()
            self.best.restore(model)
            self.tracker.close()
        model.origin = replace(model.origin, new_head=False, trained=True)
        record.recipe["result"] = dict(record.best)
        record.recipe["cost"] = cost_of(self)
        self._write_recipe()
        self._report()
        return record

    def close(self) -> None:
        """Let go of what reads pictures."""
        if hasattr(self, "supply"):
            self.supply.close()

    def _report(self) -> None:
        """What came out, on a page: of the validation pictures, with the weights that stay."""
        if self.record.path is None or not hasattr(self, "supply"):  # it had ended before
            return
        scores = None
        if self.supply.val is not None:
            with self._entered():
                scores = scores_of(self.model, self.supply.val, self.supply, self.processes)
        if self.folder is not None:
            try:
                write_report(self.record, findings_of(self, scores), self.folder.path / REPORT)
            except OSError as error:  # the training itself is safe
                self._say(f"The report cannot be written: {error.strerror or error}.")

    def _move(self) -> None:
        """The model to its device, in the memory layout that is quick there."""
        wanted = self.settings.channels_last
        last = self.device.type == "cuda" if wanted == "auto" else wanted
        self.model.to(self.device)
        if last:
            self.model.to(memory_format=torch.channels_last)

    def _moved(self) -> tuple[str, ...]:
        """What training can change, in any of its phases."""
        names: dict[str, None] = {}
        for phase in self.phases:
            self._freeze(phase)
            names |= dict.fromkeys(moving(self.model))
        return tuple(names)

    def _identity_of_the_start(self) -> str:
        """Of the pretrained file, where one is known, and of what training cannot change."""
        tensors = self.model.state_dict()
        rest = tensor_digest({n: t for n, t in tensors.items() if n not in self.moved})
        return f"{self.model.origin.sha256 or ''} {rest}"

    def _freeze(self, phase: Phase) -> None:
        if phase.what:
            apply(self.model, phase.what)
        if not any(p.requires_grad for p in self.model.parameters()):
            raise RecipeError(
                "Nothing trains: every parameter is frozen.", hint="Call model.unfreeze() first."
            )

    def _train(self, state: dict[str, Any] | None) -> None:
        """All phases, or what is left of them."""
        for number in range(self.place.phase, len(self.phases) + 1):
            self._run_phase(number, state)
            state = None
            if self.place.stopped:
                return

    def _run_phase(self, number: int, state: Mapping[str, Any] | None) -> None:
        """Set everything up for what trains in a phase, and train its epochs.

        `state`: where it stood when it was stopped.
        """
        phase, model, settings = self.phases[number - 1], self.model, self.settings
        last = sum(phase.epochs for phase in self.phases[:number])
        self.place.phase = number
        self._freeze(phase)
        if state is not None:
            Snapshot.of(state["model"]).restore(model)
        solves = (
            number == 1
            and state is None
            and solves_head(model, settings, multilabel=self.train_set.multilabel)
        )
        self.close()  # what the phase before has read
        self.supply = self._supplied(phase, passes=int(solves))
        self.caches[number] = self.supply.cache
        with self._entered():
            if solves:
                self._solve_head()
            self.optimizer = make_optimizer(model, settings)
            idle = self.processes.world > 1 and self.supply.has_idle_weights()
            forward: Any = self.processes.joined(model, idle=idle)
            if settings.compile:
                forward = torch.compile(forward)
            self.stepper = Stepper(
                model,
                forward,
                self.optimizer,
                self.loss,
                supply=self.supply,
                stack=self.stack,
                precision=self.precision,
                fitting=self.fitting,
            )
            steps = len(self.supply.train)
            self.rates = Rates(self.optimizer, settings, steps, steps * phase.epochs)
            given = {"optimizer": self.optimizer, "scaler": self.precision.scaler}
            self.stack.attach(model, reference=self.reference, **given)
            if state is not None:
                take_up(self, state)
            self._begin_to_write(solved=solves)
            self.trains = trained_range(model)
            if len(self.phases) > 1:
                self._say(f"Phase {number} of {len(self.phases)}: {self.trains}.")
            with self._bar(last) as self.bar, Interrupts() as self.interrupts:
                self._run_epochs(last)
            if number < len(self.phases) and not self.place.stopped:
                self.stack.release()
        self._say(what_the_cache_saved(self.supply.cache))

    def _supplied(self, phase: Phase, passes: int) -> Supply:
        return Supply(
            self.model,
            self.train_set,
            self.val_set,
            self.settings,
            self.stack,
            self.processes,
            self.precision,
            self.fitting,
            epochs=phase.epochs,
            passes=passes,
            say=self._say,
            progress=self.progress,
        )

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """The model takes what enters its first trained stage, where what is before is frozen."""
        again = self.settings.checkpointing
        if self.supply.prefix is None and not again:
            yield
            return
        with entered(self.model, self.supply.rest, checkpointing=again):
            yield

    # --- the head --------------------------------------------------------------------------------

    def _solve_head(self) -> None:
        """Solve the new head in closed form; it counts as what came before the first epoch."""
        solution = solve_head(self.model, self.supply, self.processes)
        told = f"Head solved in closed form: {solution.accuracy:.1%} leave-one-out"
        row: dict[str, Any] = {"epoch": 0, "phase": 1, "trains": "head", "loss": solution.loss}
        row |= {"strength": solution.strength}
        if self.supply.val is not None:
            metrics = self._validate(self.supply.val)
            row |= {f"val_{key}": value for key, value in metrics.items()}
            told += f", {metrics['accuracy']:.1%} on validation"
        self._say(f"{told}.")
        self.best, self.record.best = Snapshot(self.model, self.moved), row
        self.tried.floor = row.get("val_loss", math.inf)

    # --- an epoch --------------------------------------------------------------------------------

    def _run_epochs(self, last: int) -> None:
        start = time.perf_counter()
        while self.place.epoch <= last and not self.place.stopped:
            self._run_epoch(last)
        if isinstance(self.supply.cache, dict):
            self.supply.cache["training"] = time.perf_counter() - start

    def _run_epoch(self, last: int) -> None:
        """Train an epoch (or the rest of one), validate, and keep what is best."""
        place, start = self.place, time.perf_counter()
        loss, speed, waiting = self._train_epoch()
        row: dict[str, Any] = {"epoch": place.epoch, "phase": place.phase, "trains": self.trains}
        row |= {"lr": self.rates.highest, "loss": loss}
        row |= {f"penalty_{n}": p.item() for n, p in self.stack.penalties().items()}
        verdict = Verdict.CONTINUE
        if self.supply.val is not None:
            begun = time.perf_counter()
            with self.stack.evaluating():
                metrics = self._validate(self.supply.val)
            if not math.isfinite(metrics["loss"]):
                raise diverged(self.stack, place.epoch, self.settings.rate, of="validation ")
            row |= {f"val_{key}": value for key, value in metrics.items()}
            verdict = self.stack.validation(metrics | {"train_loss": loss})
            self.validating += time.perf_counter() - begun
        elif not are_finite(p for p in self.model.parameters() if p.requires_grad):
            raise diverged(self.stack, place.epoch, self.settings.rate)
        row |= {"pictures_per_second": round(speed, 1), "waiting": round(waiting, 3)}
        row |= {"memory": peak_memory(self.device)}
        row["seconds"] = round(time.perf_counter() - start, 3)
        self.seconds += row["seconds"]
        self.bar.line(epoch_line(row, self.total))
        self.shown = behind_the_bar(row, self.device)
        if not self.told_slow and is_slow(row):
            self.told_slow = True
            self.bar.line(what_is_slow(row, self.supply.train.workers))
        self._keep(row, verdict)
        place.epoch, place.step, place.losses = place.epoch + 1, 0, []
        place.stopped = verdict is Verdict.STOP
        self._save_at_the_end_of_an_epoch(last)

    def _keep(self, row: dict[str, Any], verdict: Verdict) -> None:
        """Add an epoch to the record, and note whether it is the best one."""
        self.record.history.append(row)
        self._add_row(row)
        if self.tried.is_better(row, verdict, self._have_begun()):
            self.record.best = row
            with self.stack.evaluating():  # with the averages that were validated
                self.best = Snapshot(self.model, self.moved)
                self._save_best()

    def _have_begun(self) -> bool:
        return all(member.begun for member in self.stack.members)

    def _train_epoch(self) -> tuple[float, float, float]:
        """One pass over the training pictures: mean loss, pictures a second, share of waiting."""
        self.model.train()
        place, feed = self.place, self.supply.train
        self.bar.title = f"epoch {place.epoch}/{self.total}"
        first = sum(phase.epochs for phase in self.phases[: place.phase - 1])
        done = place.step + (place.epoch - 1 - first) * len(feed)
        batches = feed.epoch(place.epoch, place.step)
        begun, waited, seen = time.perf_counter(), 0.0, 0
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            if batch is None:
                break
            self.rates.set(done)
            loss = self.stepper.step(batch)
            own = len(batch.y) if batch.share else 0
            place.losses.append(loss.double() * own)
            place.step, done, seen = place.step + 1, done + 1, seen + own
            self.bar.step(count=own, loss=loss, **self.shown)
            self._heed_interrupts()
        mean = self._mean_loss(feed)
        seconds = max(time.perf_counter() - begun, 1e-9)
        if not math.isfinite(mean):
            raise diverged(self.stack, place.epoch, self.settings.rate)
        return mean, seen * self.processes.world / seconds, min(waited / seconds, 1.0)

    def _mean_loss(self, feed: Feed) -> float:
        total = self.processes.sum(torch.stack(self.place.losses).sum())
        return float(total.item()) / feed.order.size

    def _validate(self, feed: Feed) -> dict[str, float]:
        scores = scores_of(self.model, feed, self.supply, self.processes)
        return validated(scores, feed.samples.targets)

    # --- saving, stopping, going on --------------------------------------------------------------

    def _heed_interrupts(self) -> None:
        """Save inside an epoch when it is time, and before the end where a signal came.

        Several processes would have to agree on a step, so they save between epochs only.
        """
        if self.processes.world > 1:
            self.interrupts.raise_caught()
        elif self.interrupts.caught is not None or self.clock.is_due(AFTER_STEP):
            self._save()
            self.interrupts.raise_caught()

    def _save_at_the_end_of_an_epoch(self, last: int) -> None:
        over = self.place.epoch > last or self.place.stopped or self.interrupts.caught is not None
        if self.processes.from_main(over or self.clock.is_due(AFTER_EPOCH)):
            self._save()
        self.interrupts.raise_caught()

    def _save(self) -> None:
        """Write where the training stands."""
        if self.record.path is None:
            return
        generators = self.processes.gather(random_state(self.device))
        if self.folder is not None:
            save_state(self.folder.path, state_of(self, generators))
        self.clock.restart()

    def _go_back_to(self, state: Mapping[str, Any]) -> None:
        """Take up place, history and best weights; the rest waits for its phase."""
        go_back(self, state)
        if self._is_finished():
            self._say("The run has ended already.")
        else:
            step = f", step {self.place.step}" if self.place.step else ""
            self._say(f"Going on after epoch {self.place.epoch - 1}{step}.")

    def _is_finished(self) -> bool:
        over = self.place.epoch > self.total and bool(self.record.history)
        return self.place.stopped or over

    # --- what is written, and what is said -------------------------------------------------------

    def _write_recipe(self) -> None:
        complete = len(self.names) == len(self.model.state_dict())
        self.record.recipe["model"] = model_recipe(self.model, complete)
        if self.folder is not None:
            self.folder.write_recipe(self.record.recipe)

    def _begin_to_write(self, *, solved: bool) -> None:
        """The first files, once nothing stands in the way of the training any more.

        `solved`: whether a head was, which is then the best so far.
        """
        if self.writes:
            return
        self.writes = True
        self._write_recipe()
        if self.folder is not None:
            self.folder.write_metrics(self.record.history)
        self.tracker.begin(self.record.recipe)
        if solved:
            self._save_best()
            if not self.total:
                self.record.history.append(self.record.best)
                self._add_row(self.record.best)
                self._save()

    def _add_row(self, row: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.add_metrics(row)
        self.tracker.add(row)

    def _save_best(self) -> None:
        if self.folder is not None:
            state = self.model.state_dict()
            metadata = {"base_sha256": self.model.origin.sha256 or ""}
            self.folder.write_best({name: state[name] for name in self.names}, metadata)

    def _bar(self, last: int) -> Bar:
        order = self.supply.train.order
        left = (last - self.place.epoch + 1) * order.size - self.place.step * order.batch_size
        share = max(left, 0) // self.processes.world
        return Bar("training", total=share, shown=self.progress, unit="pictures")

    def _say(self, text: str) -> None:
        if self.progress and text:
            print(text, file=sys.stderr, flush=True)

    def _say_stopped(self) -> None:
        if self.record.path is None:
            return
        if self.record.best:
            self._say(f"Stopped. The best weights so far are in {self.record.path}.")
        if (self.record.path / LAST / STATE).exists():
            world = self.processes.world
            together = f", by {world} processes again" if world > 1 else ""
            self._say(f"Go on with: zoo finetune --resume {self.record.path}{together}")
