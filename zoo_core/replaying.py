"""Recipes as instructions: a run again, or the rest of one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.errors import RecipeError, UnknownName
from zoo_core.files import name_or_path
from zoo_core.model.run import Run
from zoo_core.runs.folder import without_none
from zoo_core.runs.recipe import read_recipe
from zoo_core.weights.checkpoint import without_plugin

TABLES = ("train", "start", "data")

# What may differ between a run and its resumption: the result does not depend on it.
FREE = {"cache", "workers"}

# The words of a recipe for validation that is no data of its own.
VALIDATION = {"a fifth": None, "none": False}


def replay(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train as a recipe says; the result is the same, on the same versions and kind of machine.

    `recipe`: its file, or the folder of a run. `out`: the new run folder. `resume`: go on with the
    run in the folder, where it was stopped. Raises RecipeError where the recipe tells of objects in
    Python, and where model or data are not those of the recipe any more.
    """
    from zoo_core.training import finetune

    path = Path(recipe).expanduser()
    told = read_recipe(path)
    how, start, data = (dict(told.get(table, {})) for table in TABLES)
    if start.get("object") or "model" not in start or "spec" not in data:
        what = start.get("object") or "something"
        raise RecipeError(
            f"{path} cannot be trained from its recipe: {what} was an object in Python.",
            hint="Call zoo.finetune with it; with out=… and resume=True it goes on.",
        )
    if how.get("train") or how.get("schedule"):
        how.pop("freeze_until", None)
    val = data.get("val", "a fifth")
    try:
        return finetune(
            name_or_path(start["model"]),
            data["spec"],
            val=VALIDATION.get(val, val),
            out=path if resume else out,
            resume=resume,
            config=start.get("config"),
            progress=progress,
            recipe=told,
            **how,
        )
    except UnknownName as error:
        raise without_plugin(told.get("model", {}), path, error) from error
    except TypeError as error:
        raise RecipeError(
            f"{path} says something that this version does not know: {error}."
        ) from error


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
            if key in FREE or was == now or longer:
                continue
            raise RecipeError(_differs(path, table, key, was, now), hint=_HINTS[table])


_HINTS = {
    "start": "Give the model that it began with.",
    "data": "Give the data that it began with, or begin a new run.",
    "train": "Give the same arguments, or begin a new run with another out=.",
}


def _differs(path: Path, table: str, key: str, was: Any, now: Any) -> str:
    if key in ("targets", "content"):
        return f"{path} began with other pictures, or others are in its classes now."
    return f"The recipe of {path} has {key} = {was!r} in [{table}], and this is {now!r}."
