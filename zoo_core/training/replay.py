"""Recipes as instructions: a run again, or the rest of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from zoo_core.data.places import found_start
from zoo_core.data.specs import paths_from
from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.files import name_or_path
from zoo_core.model.run import Run
from zoo_core.runs.recipe import VALIDATION, read_recipe
from zoo_core.training.finetune import finetune
from zoo_core.training.same_recipe import TABLES
from zoo_core.training.settings import Settings
from zoo_core.weights.pretrained import is_path
from zoo_core.weights.run_checkpoint import without_plugin


def replay(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    epochs: int | None = None,
    progress: bool = True,
) -> Run:
    """Train as a recipe says; the result is the same, on the same versions and kind of machine.

    `recipe`: its file, or the folder of a run; relative paths in it begin where they did. `out`:
    the new run folder. `resume`: go on with the run in the folder, where it was stopped. `epochs`:
    as many in all, and not those of the recipe. Raises RecipeError where the recipe tells of
    objects in Python, and where model or data are not those of the recipe any more; DataError where
    the data is not found, with where it was looked for.
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
    _refuse_unknown(how, path)
    if epochs is not None:
        if how.get("schedule"):
            raise RecipeError(
                f"{path} trains by a schedule, which says how many epochs there are.",
                hint="Leave epochs (--epochs) out.",
            )
        how["epochs"] = epochs
    val = data.get("val", "a fifth")
    specs = [data["spec"], *([] if val in VALIDATION else [val])]
    begin = found_start(specs, path, data.get("folder"))
    try:
        with paths_from(begin):
            return finetune(
                _model(start["model"], begin),
                data["spec"],
                val=VALIDATION.get(val, val),
                out=path if resume else out,
                resume=resume,
                pretrained=_weights(start.get("pretrained"), begin),
                labels=start.get("labels"),
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


def _refuse_unknown(how: Mapping[str, Any], path: Path) -> None:
    """Raise RecipeError for arguments that no recipe has, such as somebody's tracker."""
    known = {field.name for field in fields(Settings)} | {"regularizers", "unreadable"}
    unknown = [name for name in how if name not in known]
    if unknown:
        raise RecipeError(
            f"{path} says something that this version does not know: {unknown[0]} in [train]. "
            f"{did_you_mean(unknown[0], known)}".strip()
        )


def _model(reference: str, begin: Path) -> str | Path:
    """A model's name, or its path from where the recipe's paths begin."""
    path = Path(reference).expanduser()
    is_relative = not path.is_absolute() and (begin / path).exists()
    return begin / path if is_relative and not path.exists() else name_or_path(reference)


def _weights(pretrained: str | bool | None, begin: Path) -> str | Path | bool | None:
    """Weights as create() takes them; their path from where the recipe's paths begin."""
    if not isinstance(pretrained, str) or not is_path(pretrained):
        return pretrained
    here = Path(pretrained).expanduser()
    there = begin / here
    same = here.exists() and there.exists() and here.samefile(there)
    return there if there.exists() and not same else pretrained
