"""What finetune() was asked to train, and on what, as its caller gave it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import Regularizer


@dataclass(frozen=True)
class Request:
    """The arguments of `zoo.finetune` that say what, not how: a recipe names them, a task has them.

    `regularizers`: as of `listed`.
    """

    model: ZooModel | str | Path
    data: Any
    val: Any
    regularizers: list[Any]
    config: Mapping[str, Any] | None
    unreadable: str


def listed(chosen: Any) -> Any:
    """Names and objects as a list, which can be gone through twice.

    What is none is left as it is: whoever makes regularizers of it refuses it.
    """
    if isinstance(chosen, str | Regularizer):
        return [chosen]
    if isinstance(chosen, Mapping) or not isinstance(chosen, Iterable):
        return chosen
    return list(chosen)
