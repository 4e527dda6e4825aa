"""What finetune() was asked to train, and on what, as its caller gave it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.weights.labels import chosen_labels, is_label_set


@dataclass(frozen=True)
class Request:
    """The arguments of `zoo.finetune` that say what, not how: a recipe names them, a task has them.

    `regularizers`: as of `listed`. `labels`: as of `settled`.
    """

    model: ZooModel | str | Path
    data: Any
    val: Any
    regularizers: list[Any]
    config: Mapping[str, Any] | None
    unreadable: str
    pretrained: bool | str | Path | None = None
    labels: str | tuple[str, ...] | None = None


def listed(chosen: Any) -> Any:
    """Names and objects as a list, which can be gone through twice.

    What is none is left as it is: whoever makes regularizers of it refuses it.
    """
    if isinstance(chosen, str | Regularizer):
        return [chosen]
    if isinstance(chosen, Mapping) or not isinstance(chosen, Iterable):
        return chosen
    return list(chosen)


def settled(labels: str | Path | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """Labels as a recipe keeps them: the name of a label set, else the names themselves.

    A file may be another one by the time that the recipe is trained again.
    """
    if labels is None or (isinstance(labels, str) and is_label_set(labels)):
        return labels
    return chosen_labels(labels)
