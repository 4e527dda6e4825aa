"""Whether a push is whole or a delta on its base, and under which licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from zoo_core.errors import PublishError
from zoo_core.model.base import Below
from zoo_core.plugins.catalogue import catalogue
from zoo_core.weights.sources import split_reference

# Below this share of the whole, what differs is worth a delta that needs its base to load.
WORTHWHILE = 0.5


Delta = bool | Literal["auto"]


def decided(
    delta: Delta, below: Below | None, state: Mapping[str, Tensor], moved: list[str]
) -> bool:
    if delta is False:
        return False
    if below is None or not _may_be_named(below.name):
        if delta is True:
            raise PublishError(
                "There is nothing that a delta could stand on: "
                "this model does not come from weights that others can get.",
                hint="Push it whole: delta=False.",
            )
        return False
    return delta is True or share_of(state, moved) < WORTHWHILE


def _may_be_named(base: str) -> bool:
    """Whether a config.json may lead there: to the registry, and to where models are published."""
    return "://" not in base or catalogue().publisher(split_reference(base)[0]) is not None


def share_of(state: Mapping[str, Tensor], names: list[str]) -> float:
    """The share of the bytes of a model that these tensors have."""
    return sum(state[name].nbytes for name in names) / sum(t.nbytes for t in state.values())


def inherited_license(below: Below | None, license: str | None) -> str | None:
    """The licence of what is pushed: the base's, which may also forbid it."""
    theirs = below.checkpoint.license if below else None
    if theirs is None:
        return license
    if license is not None and license != theirs:
        raise PublishError(
            f"This model was tuned from weights under {theirs}; it cannot be given {license}.",
            hint="Leave license out.",
        )
    if re.search(r"(^|[-_ ])nd([-_ ]|$)", theirs.lower()):
        raise PublishError(
            f"{below.name if below else ''} is under {theirs}, "
            "which does not allow to publish what is made from it.",
            hint="Start from other weights: zoo list --json has their licences.",
        )
    return theirs
