"""What a run trained for certain, by its recipe: for runs of before their sha256 was kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.types import Stage


def surely_trained(
    recipe: Mapping[str, Any], model: nn.Module, stages: Iterable[Stage]
) -> list[str]:
    """Names of parameters that training moved, in order; some more may have been.

    A model that was given as an object may have been frozen by hand: of it nothing is certain.
    """
    if recipe.get("start", {}).get("object") == "the model":
        return []
    chain = {stage.name: stage for stage in stages}
    chosen = [_chosen(str(what), chain) for what in _phases(recipe.get("train", {}))]
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and any(stage.has(name) for part in chosen for stage in part)
    ]


def _phases(train: Mapping[str, Any]) -> list[Any]:
    schedule = train.get("schedule")
    if isinstance(schedule, list):
        return [step[0] for step in schedule if isinstance(step, list) and step]
    return [train.get("train") or train.get("freeze_until") or "all"]


def _chosen(what: str, chain: Mapping[str, Stage]) -> list[Stage]:
    """The stages that train whole by a word of a recipe."""
    names = list(chain)
    if what == "all":
        return list(chain.values())
    if what in ("norm", "bias"):
        return [chain["head"]]
    first, colon, last = (part.strip() for part in what.partition(":"))
    if first in chain or (colon and not first):
        start = names.index(first) if first else 0
        end = names.index(last) + 1 if last in chain else len(names)
        return [chain[name] for name in names[start:end]]
    holding = next((n for n, stage in chain.items() if stage.has(first)), "head")
    return [chain[name] for name in names[names.index(holding) + 1 :]]
