"""The journal of a training: its run folder, trackers, and lines for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_core.model.held import Held
from zoo_core.progress import Bar
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.recipe import STATE
from zoo_core.training.console import Console
from zoo_core.training.interrupts import Clock
from zoo_core.training.messages import (
    begin_line,
    behind_the_bar,
    end_line,
    epoch_line,
    is_slow,
    what_is_slow,
)
from zoo_core.training.recipe import model_recipe
from zoo_core.training.resume import load_state, random_state, save_state
from zoo_core.training.state import Row, TrainingState
from zoo_core.training.task import Task
from zoo_core.training.tracking import Tracker


class Journal:
    """Writes what a training does, on the main process only; `path` is known to all of them.

    `recipe`: of the run, completed here. `held`: what `best.safetensors` holds. `folder`: None
    where nothing is written.
    """

    def __init__(
        self,
        task: Task,
        recipe: dict[str, Any],
        held: Held,
        *,
        folder: RunFolder | None,
        tracker: Tracker,
        console: Console,
    ) -> None:
        self.model, self.processes, self.pictures = task.model, task.processes, task.train_set
        self.epochs = task.settings.total
        self.recipe, self.held = recipe, held
        self.path: Path | None = folder.path if folder is not None else None
        self.folder = folder if task.processes.main else None
        self.tracker, self.console, self.clock = tracker, console, Clock()
        self.begun = self.told_slow = False
        self.behind_the_bar: dict[str, Any] = {}

    def begin(self, history: list[Row]) -> bool:
        """The first files, once nothing stands in the way of the training any more.

        Returns whether they were not there yet.
        """
        if self.begun:
            return False
        self.begun = True
        self.write_recipe()
        if self.folder is not None:
            self.folder.write_metrics(history)
        self.save_trained_on()
        self.tracker.begin(self.recipe)
        done = history[-1]["epoch"] if history else 0
        self.console.record(begin_line(self.model, self.pictures, self.epochs, done))
        return True

    def save_trained_on(self) -> None:
        """Which pictures the model has seen, as far as that is known."""
        if self.folder is not None and self.model._trained_on is not None:
            self.model._trained_on.save(self.folder.path)

    def write_recipe(self) -> None:
        """The recipe, with what rebuilds the model."""
        self.recipe["model"] = model_recipe(self.model, self.held, self.path)
        if self.folder is not None:
            self.folder.write_recipe(self.recipe)

    def end(self, best: Row) -> None:
        """The recipe once more, with what came out: from now on the run is whole."""
        if self.folder is not None:
            self.recipe["best"] = {"sha256": self.folder.best.sha256}
            self.folder.settle()
        self.write_recipe()
        self.console.record(end_line(self.model, best, self.path))

    def add_row(self, row: Row) -> None:
        """An epoch."""
        if self.folder is not None:
            self.folder.add_metrics(row)
        self.tracker.add(row)

    def save_best(self, best: Mapping[str, Tensor] | None = None) -> None:
        """The weights as they are now are the best so far; or else those of them in `best`."""
        if self.folder is not None:
            state, local = {**self.model.state_dict(), **(best or {})}, self.held.local
            base = local.sha256 if local is not None else self.model.origin.sha256
            tensors = {name: state[name] for name in self.held.names}
            self.folder.write_best(tensors, {"base_sha256": base or ""})

    def save(self, saved: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        """Where the training stands: what `saved` makes of the generators of all processes."""
        if self.path is None:
            return
        generators = self.processes.gather(random_state(self.processes.device))
        if self.folder is not None:
            save_state(self.folder, saved(generators))
        self.clock.restart()

    def is_due(self, seconds: float) -> bool:
        """Whether so many seconds have gone by since the last save."""
        return self.clock.is_due(seconds)

    def last_save(self) -> dict[str, Any] | None:
        """Where the training stood at its last save, on all processes; None where there is none."""
        path = self.path
        return self.processes.first(lambda: load_state(path) if path else None)

    def say(self, text: str) -> None:
        """A line for people, where there is something to say."""
        self.console.say(text)

    def say_epoch(self, bar: Bar, row: Row, workers: int) -> None:
        """An epoch as a line above the bar; once, that it waited for pictures."""
        line = epoch_line(row, self.epochs)
        bar.line(line)
        self.console.record(line)
        self.behind_the_bar = behind_the_bar(row, self.processes.device)
        if not self.told_slow and is_slow(row):
            self.told_slow = True
            bar.line(what_is_slow(row, workers))

    def say_where_it_goes_on(self, state: TrainingState, *, over: bool) -> None:
        """What is left of a run that was stopped."""
        if over:
            self.say("The run has ended already.")
        else:
            step = f", step {state.place.step}" if state.place.step else ""
            self.say(f"Going on after epoch {state.place.epoch - 1}{step}.")

    def say_stopped(self, state: TrainingState) -> None:
        """What is there of a run that is stopped now, and how it goes on."""
        self.console.record(f"stopped in epoch {state.place.epoch} of {self.epochs}")
        if self.path is None:
            return
        if state.best_row:
            self.say(f"Stopped. The best weights so far are in {self.path}.")
        if (self.path / STATE).exists():
            world = self.processes.world
            together = f", by {world} processes again" if world > 1 else ""
            self.say(f"Go on with: zoo finetune --resume {self.path}{together}")

    def close(self) -> None:
        """Have trackers write what they still hold."""
        self.tracker.close()
