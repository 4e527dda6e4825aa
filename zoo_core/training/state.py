"""Where a training stands, and which of its epochs is the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.regularize.regularizer import Verdict
from zoo_core.training.resume import set_random_state
from zoo_core.transfer.snapshot import Snapshot

if TYPE_CHECKING:
    from zoo_core.training.session import Session


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


def state_of(session: Session, generators: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a session stands; `generators`: the random ones of each of its processes."""
    tensors = session.model.state_dict()
    scaler = session.precision.scaler
    return {
        "place": session.place.state_dict(),
        "best": {"tensors": session.best.tensors, "row": session.record.best},
        "tried": vars(session.tried),
        "history": session.record.history,
        "model": {name: tensors[name] for name in session.moved},
        "base": session.base,
        "optimizer": session.optimizer.state_dict(),
        "scaler": scaler.state_dict() if scaler is not None else None,
        "regularizers": session.stack.state_dict(),
        "random": generators,
        "pieces": session.fitting.pieces,
        "seconds": [session.seconds, session.validating],
        "caches": session.caches,
    }


def go_back(session: Session, state: Mapping[str, Any]) -> None:
    """Give a session the place, history and best weights of where it stood.

    Raises RecipeError where it stands on other weights now.
    """
    if state["base"] != session.base:
        raise RecipeError(
            f"{session.record.path} stands on other weights than these.",
            hint="Give the model that the run began with.",
        )
    session.place.load_state_dict(state["place"], session.device)
    rows = state["history"]
    session.record.history = [row for row in rows if row["epoch"] or not session.total]
    session.record.best = state["best"]["row"]
    session.best = Snapshot.of(state["best"]["tensors"])
    vars(session.tried).update(state["tried"])
    session.fitting.pieces = state["pieces"]
    session.seconds, session.validating = state["seconds"]
    session.caches = dict(state["caches"])


def take_up(session: Session, state: Mapping[str, Any]) -> None:
    """The rest, once all parts of the phase are there.

    Raises RecipeError where there were more processes, or fewer.
    """
    session.optimizer.load_state_dict(state["optimizer"])
    if session.precision.scaler is not None:
        session.precision.scaler.load_state_dict(state["scaler"])
    session.stack.load_state_dict(state["regularizers"])
    generators, world = state["random"], session.processes.world
    if len(generators) != world:
        raise RecipeError(
            f"The run had {len(generators)} processes, and this is {world}.",
            hint="Go on with as many, so that the result is the same.",
        )
    set_random_state(generators[session.processes.rank], session.device)
