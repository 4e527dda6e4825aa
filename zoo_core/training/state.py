"""Where a training stands, and which of its epochs is the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.regularize.regularizer import Verdict
from zoo_core.runs.recipe import STATE
from zoo_core.training.memory import Fitting
from zoo_core.training.resume import set_random_state
from zoo_core.training.task import Task
from zoo_core.transfer.snapshot import Snapshot

Row = dict[str, Any]


@dataclass
class Place:
    """Where a training stands: epochs from 1 through all phases, steps done in this epoch.

    `losses`: the summed losses of the steps of this epoch. `stopped`: by a regularizer.
    """

    phase: int = 1
    epoch: int = 1
    step: int = 0
    stopped: bool = False
    losses: list[Tensor] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return vars(self) | {"losses": [loss.cpu() for loss in self.losses]}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        vars(self).update(state)
        self.losses = [loss.to(device) for loss in state["losses"]]

    def next_epoch(self, *, stopped: bool) -> None:
        """An epoch has ended."""
        self.epoch, self.step, self.losses = self.epoch + 1, 0, []
        self.stopped = stopped


@dataclass
class Tried:
    """What is known of the epochs so far, to tell the best.

    It is what a regularizer calls so, else that of the lowest validation loss; once averages have
    begun, what came before does not count. `floor`: the loss that a head solved in closed form
    starts with; above it nothing is better. Without validation the last epoch is the best.
    """

    lowest: float = math.inf
    floor: float = math.inf
    judged: bool = False
    begun: bool = False

    def is_better(self, row: Mapping[str, Any], verdict: Verdict, begun: bool) -> bool:
        if begun and not self.begun:
            self.lowest, self.judged, self.begun = math.inf, False, True
        improved = verdict is Verdict.IMPROVED
        self.judged = self.judged or improved
        loss = row.get("val_loss", -math.inf)
        better = improved or (loss < self.lowest and not self.judged)
        if not better or loss > self.floor:
            return False
        self.lowest = row.get("val_loss", math.inf)
        return True


@dataclass
class TrainingState:
    """What changes while a training goes on, besides weights, optimizer and regularizers.

    `start`: all that can move, as it was. `base`: a hash of what the training stands on, and
    `recipe`: one of what it is, "" where nothing is written. `fitting`: in how many pieces a batch
    is computed. `best`, `best_row`: the best weights so far, and their epoch. `history`: a row an
    epoch. `seconds`: of all epochs and of what came before them, of which `validating`, and
    `caching`: deciding on the cache and filling it. `caches`: what became of the cache of each
    phase, by its number.
    """

    start: Snapshot
    base: str
    fitting: Fitting
    best: Snapshot
    recipe: str = ""
    best_row: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    place: Place = field(default_factory=Place)
    tried: Tried = field(default_factory=Tried)
    seconds: float = 0.0
    validating: float = 0.0
    caching: float = 0.0
    caches: dict[int, dict[str, Any] | str] = field(default_factory=dict)

    def is_over(self, epochs: int) -> bool:
        """Whether nothing is left of so many epochs."""
        return self.place.stopped or (self.place.epoch > epochs and bool(self.history))

    def keep_best(self, model: torch.nn.Module, row: Row) -> None:
        """The weights are the best so far, and `row` says how good."""
        self.best, self.best_row = Snapshot(model, self.start.tensors), row

    def saved(
        self, task: Task, optimizer: torch.optim.Optimizer, generators: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """All that a training goes on from; `generators`: the random ones of each process."""
        tensors, scaler = task.model.state_dict(), task.precision.scaler
        return {
            "place": self.place.state_dict(),
            "best": {"tensors": self.best.tensors, "row": self.best_row},
            "tried": vars(self.tried),
            "history": self.history,
            "model": {name: tensors[name] for name in self.start.tensors},
            "base": self.base,
            "recipe": self.recipe,
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "regularizers": task.stack.state_dict(),
            "random": generators,
            "pieces": self.fitting.pieces,
            "seconds": [self.seconds, self.validating, self.caching],
            "caches": self.caches,
        }

    def go_back(self, saved: Mapping[str, Any], task: Task, path: Path | None) -> None:
        """Take up place, history and best weights; the rest waits for its phase.

        Raises RecipeError where the run at `path` stands on other weights than these, or has the
        state of another one.
        """
        if saved["base"] != self.base:
            raise RecipeError(
                f"{path} stands on other weights than these.",
                hint="Give the model that the run began with.",
            )
        if saved.get("recipe", self.recipe) != self.recipe:  # an older zoo wrote none
            raise RecipeError(
                f"{path} has the state of another run in {STATE}.",
                hint="Put its own back, or remove last/ to train from the start.",
            )
        for tensors in (saved["model"], saved["best"]["tensors"]):
            _check_same_kind(tensors, self.start.tensors)
        self.place.load_state_dict(saved["place"], task.processes.device)
        rows = saved["history"]
        self.history = [row for row in rows if row["epoch"] or not task.settings.total]
        self.best_row = saved["best"]["row"]
        self.best = Snapshot.of(saved["best"]["tensors"])
        vars(self.tried).update(saved["tried"])
        if not 1 <= saved["pieces"] <= task.settings.batch_size:
            raise ValueError(f"a batch in {saved['pieces']} pieces")
        self.fitting.pieces = saved["pieces"]
        seconds = [*saved["seconds"], 0.0]  # an older zoo did not count what caching took
        self.seconds, self.validating, self.caching = seconds[:3]
        self.caches = dict(saved["caches"])


def _check_same_kind(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ValueError where names, shapes or types of tensors are others."""
    for name in dict.fromkeys((*tensors, *wanted)):
        if name not in tensors or name not in wanted:
            raise ValueError(f"{name} is in one of it and the model")
        if (tensors[name].shape, tensors[name].dtype) != (wanted[name].shape, wanted[name].dtype):
            raise ValueError(f"{name} is {list(tensors[name].shape)} of {tensors[name].dtype}")


def take_up(task: Task, optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """The rest of what was saved, once all parts of the phase are there.

    Raises RecipeError where there were more processes, or fewer.
    """
    optimizer.load_state_dict(saved["optimizer"])
    if task.precision.scaler is not None:
        task.precision.scaler.load_state_dict(saved["scaler"])
    task.stack.load_state_dict(saved["regularizers"])
    generators, world = saved["random"], task.processes.world
    if len(generators) != world:
        raise RecipeError(
            f"The run had {len(generators)} processes, and this is {world}.",
            hint="Go on with as many, so that the result is the same.",
        )
    set_random_state(generators[task.processes.rank], task.processes.device)
