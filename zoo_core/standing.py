"""Where a training stands, and which of its epochs is the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo_core.regularize.regularizer import Verdict


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
