"""Recipes as instructions: a run again, or the rest of one."""

from __future__ import annotations

from pathlib import Path

from zoo_core.errors import RecipeError, UnknownName
from zoo_core.files import name_or_path
from zoo_core.model.run import Run
from zoo_core.runs.recipe import VALIDATION, read_recipe
from zoo_core.training.finetune import finetune
from zoo_core.training.same_recipe import TABLES
from zoo_core.weights.run_checkpoint import without_plugin


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
    path = Path(recipe).expanduser()
    tables = read_recipe(path)
    how, start, data = (dict(tables.get(table, {})) for table in TABLES)
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
            recipe=tables,
            **how,
        )
    except UnknownName as error:
        raise without_plugin(tables.get("model", {}), path, error) from error
    except TypeError as error:
        raise RecipeError(
            f"{path} says something that this version does not know: {error}."
        ) from error
