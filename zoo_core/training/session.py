"""One fine-tune from its first phase to its report.

The frozen part runs apart from the part that trains (`cache/prefix.py`), so that it can be computed
once (`cache/fill.py`). On one process nothing stands between the loop and PyTorch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from zoo_core.data.readers import readers_watched
from zoo_core.data.samples import seeded
from zoo_core.data.trained_on import replaced, trained_on
from zoo_core.model.held import Held, held_by_run
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import pretrained_part
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.recipe import REPORT
from zoo_core.training.console import Console
from zoo_core.training.journal import Journal
from zoo_core.training.lonely import refuse_lonely
from zoo_core.training.memory import Fitting
from zoo_core.training.messages import what_did_not_begin
from zoo_core.training.phase import Phase
from zoo_core.training.report.findings import cost_of, findings_of
from zoo_core.training.report.page import write_report
from zoo_core.training.resume import taking_up
from zoo_core.training.same_recipe import identity
from zoo_core.training.state import TrainingState
from zoo_core.training.task import Task
from zoo_core.training.tracking import Tracker
from zoo_core.training.what_trains import freeze
from zoo_core.transfer.snapshot import Snapshot, moving
from zoo_core.weights.hashes import tensor_digest


class Session:
    """A task under way. `recipe`: of the run; what came out is added to it."""

    def __init__(
        self,
        task: Task,
        recipe: dict[str, Any],
        *,
        folder: RunFolder | None,
        tracker: Tracker,
        console: Console,
    ) -> None:
        if task.processes.rank:  # dropout of its own on each process
            torch.manual_seed(seeded(task.settings.seed, task.processes.rank).seed)
        self.task, self.recipe = task, recipe
        self.new_head = task.model.origin.new_head
        _to_device(task)
        refuse_lonely(task)
        self.reference = pretrained_part(task.model)
        moved = _moved(task)
        held = held_by_run(task.model, moved, folder.path) if folder is not None else Held(())
        base = _identity_of_the_start(task, moved, held) if folder is not None else ""
        start = Snapshot(task.model, moved)
        fitting = Fitting(task.settings.accumulate, console.say)
        recipe_id = identity(recipe) if folder is not None else ""
        self.state = TrainingState(start, base, fitting, best=start, recipe=recipe_id)
        self.journal = Journal(task, recipe, held, folder=folder, tracker=tracker, console=console)
        self.phase: Phase | None = None

    def run(self, *, resume: bool) -> Run:
        """Train to the end, restore the best weights, write the folder."""
        with readers_watched(), contextlib.closing(self):
            saved = self.journal.last_save() if resume else None
            self._note_the_pictures()
            try:
                if saved is not None:
                    self._go_back_to(saved)
                if not self._is_over():
                    self._train(saved)
                    self.task.stack.detach()
                    self.journal.say(what_did_not_begin(self.task.stack))
            except (KeyboardInterrupt, SystemExit):
                self.journal.say_stopped(self.state)
                raise
            finally:
                self.task.stack.release()
                self.state.best.restore(self.task.model)
                self.journal.close()
            return self._ended()

    def close(self) -> None:
        """Let go of what reads pictures."""
        if self.phase is not None:
            self.phase.close()

    def _note_the_pictures(self) -> None:
        """From now on the model has seen them, beside those of trainings before."""
        model, pictures = self.task.model, self.task.train_set
        now = self.task.processes.first(lambda: trained_on(pictures))
        before = model._trained_on
        model._trained_on = before | now if before and now else before or now

    def _note_what_was_replaced(self) -> None:
        """Files that were written to meanwhile: the model may have seen what was in them, too."""
        model, pictures = self.task.model, self.task.train_set
        others = self.task.processes.first(lambda: replaced(pictures))
        if others is None or model._trained_on is None:
            return
        model._trained_on |= others
        self.journal.save_trained_on()
        count = len(others.stored)
        what = "1 picture was" if count == 1 else f"{count:,} pictures were"
        self.journal.say(f"{what} replaced in {pictures.name} during the training.")

    def _go_back_to(self, saved: Mapping[str, Any]) -> None:
        path = self.journal.path
        with taking_up(path):
            self.state.go_back(saved, self.task, path)
        if self.state.best_row:  # the file may be of a later epoch, or be lost
            self.journal.save_best(self.state.best.tensors)
        self.journal.say_where_it_goes_on(self.state, over=self._is_over())

    def _is_over(self) -> bool:
        return self.state.is_over(self.task.settings.total)

    def _train(self, saved: Mapping[str, Any] | None) -> None:
        """All phases, or what is left of them."""
        for number in range(self.state.place.phase, len(self.task.settings.phases()) + 1):
            self.close()  # what the phase before has read
            self.phase = Phase(self.task, number, self.state, self.journal, saved)
            self.phase.run(self.reference)
            saved = None
            if self.state.place.stopped:
                return

    def _ended(self) -> Run:
        """The run of a training that has ended, with all its files."""
        model, state, journal = self.task.model, self.state, self.journal
        self._note_what_was_replaced()
        model.origin = replace(model.origin, new_head=False, kept=(), trained=True, replaced=())
        run = Run(model, self.recipe, state.history, state.best_row, journal.path)
        run.held_out = self.task.val_set
        self.recipe["result"] = dict(state.best_row)
        self.recipe["cost"] = cost_of(self.task, state, journal.path)
        journal.end(state.best_row)
        self._report(run)
        return run

    def _report(self, run: Run) -> None:
        """What came out, on a page: of the validation pictures, with the weights that stay."""
        if run.path is None or self.phase is None:  # it had ended before
            return
        scores = self.phase.scores()
        if self.task.processes.main:
            cost = run.recipe["cost"]
            findings = findings_of(self.task, self.state, scores, cost, new_head=self.new_head)
            try:
                write_report(run, findings, run.path / REPORT)
            except OSError as error:  # the training itself is safe
                self.journal.say(f"The report cannot be written: {error.strerror or error}.")


def _to_device(task: Task) -> None:
    """The model to its device, in the memory layout that is quick there."""
    wanted, device = task.settings.channels_last, task.processes.device
    last = device.type == "cuda" if wanted == "auto" else wanted
    task.model.to(device)
    if last:
        task.model.to(memory_format=torch.channels_last)


def _moved(task: Task) -> tuple[str, ...]:
    """What training can change, in any of its phases."""
    names: dict[str, None] = {}
    for phase in task.settings.phases():
        freeze(task.model, phase.what)
        names |= dict.fromkeys(moving(task.model))
    return tuple(names)


def _identity_of_the_start(task: Task, moved: tuple[str, ...], held: Held) -> str:
    """Of the file that the run stands on, if there is one, and of what training cannot change."""
    tensors = task.model.state_dict()
    rest = tensor_digest({n: t for n, t in tensors.items() if n not in moved})
    sha256 = held.local.sha256 if held.local is not None else task.model.origin.sha256
    return f"{sha256 or ''} {rest}"
