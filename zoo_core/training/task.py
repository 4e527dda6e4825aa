"""A fine-tune as it is settled before its first step."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.stack import Stack
from zoo_core.training.distributed import Processes
from zoo_core.training.precision import Precision
from zoo_core.training.settings import Settings


@dataclass(frozen=True)
class Task:
    """What trains, on what, how, and by whom: the same from the first step to the last.

    `model`: with a head for the classes of the data. `train_set`, `val_set`: with classes numbered
    as the model's outputs; None: there is no validation. `stack`: the regularizers.
    """

    model: ZooModel
    train_set: Pictures
    val_set: Pictures | None
    settings: Settings
    stack: Stack
    processes: Processes
    precision: Precision
