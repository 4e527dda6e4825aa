"""Whether a training is the one that a recipe tells of."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.errors import RecipeError
from zoo_core.runs.recipe import RECIPE, read_recipe
from zoo_core.runs.writing import without_none
from zoo_core.training.distributed import Processes

# The tables that say what a training is; the others, what came of it.
TABLES = ("train", "start", "data")

# Of [start], what may be a path: it may be moved, where the weights there have the same sha256.
PLACES = ("model", "pretrained")

# What may differ between a run and its resumption: the result does not depend on it.
FREE = {"cache", "workers", "folder", "name"}
_MOVES = FREE | {"epochs", *PLACES}


def recorded(path: Path | None, processes: Processes) -> dict[str, Any] | None:
    """The recipe of the run that is in a folder already, as the main process reads it."""

    def read() -> dict[str, Any] | None:
        return read_recipe(path) if path and (path / RECIPE).exists() else None

    return processes.first(read)


def refuse_another(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise RecipeError where a training is not the one that a recipe tells of.

    Only more epochs are allowed, where the learning rate does not depend on how many there are.
    """
    new = tomllib.loads(tomli_w.dumps(without_none(new)))
    constant = old.get("train", {}).get("lr_schedule", "constant") == "constant"
    for table in TABLES:
        ours, theirs = new.get(table, {}), old.get(table, {})
        for key in dict.fromkeys((*ours, *theirs)):
            was, now = theirs.get(key), ours.get(key)
            longer = key == "epochs" and isinstance(was, int) and now >= was and constant
            moved = key in PLACES and _same_weights(new, old)
            if key in FREE or was == now or longer or moved:
                continue
            hint = _EPOCHS if key == "epochs" else _HINTS[table]
            raise RecipeError(_differs(path, table, key, was, now), hint=hint)


def identity(recipe: Mapping[str, Any]) -> str:
    """A digest of what a training is, for what belongs to it; more epochs are the same one."""
    plain = tomllib.loads(tomli_w.dumps(without_none(recipe)))
    facts = [
        {key: value for key, value in sorted(plain.get(table, {}).items()) if key not in _MOVES}
        for table in TABLES
    ]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _same_weights(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether both began with the same file of weights, wherever it is now."""
    ours, theirs = (recipe.get("start", {}).get("sha256") for recipe in (new, old))
    return ours is not None and ours == theirs


_EPOCHS = (
    "Only more epochs can be added, and only to a constant lr_schedule: another depends on how "
    "many there are."
)

_HINTS = {
    "start": "Give the model that it began with.",
    "data": "Give the data that it began with, or begin a new run.",
    "train": "Give the same arguments, or begin a new run with another out=.",
}


def _differs(path: Path, table: str, key: str, was: Any, now: Any) -> str:
    if key in ("targets", "content"):
        return f"{path} began with other pictures, or others are in its classes now."
    return f"The recipe of {path} has {key} = {was!r} in [{table}], and this is {now!r}."
