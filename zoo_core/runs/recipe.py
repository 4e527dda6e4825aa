"""The text files of a run folder, read without torch: its recipe and its epochs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from zoo_core.errors import RecipeError
from zoo_core.files import text

SCHEMA = 1
RECIPE, METRICS, BEST = "recipe.toml", "metrics.jsonl", "best.safetensors"
REPORT = "report.html"
LAST = "last"
STATE = f"{LAST}/state.pt"

# The words of a recipe for validation that is no data of its own.
VALIDATION = {"a fifth": None, "none": False}


# The most bytes of a recipe (class names take nearly all of it), and of the rows of all epochs.
LARGEST, MOST_ROWS = 4 * 2**20, 64 * 2**20

TABLES = ("model", "start", "data", "train", "versions", "best", "result", "cost")


def read_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of a run, by its folder or its file.

    Raises RecipeError where it is none, or of a newer zoo.
    """
    path = folder / RECIPE if folder.is_dir() else folder
    try:
        recipe = tomllib.loads(text(path, LARGEST))
    except OSError as error:
        raise RecipeError(
            f"{folder} is no run: {RECIPE} cannot be read: {error.strerror or error}."
        ) from error
    except RecursionError as error:
        raise RecipeError(f"{path} is no recipe: it is nested too deeply.") from error
    except ValueError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}.") from error
    if recipe.get("schema") != SCHEMA or not isinstance(recipe.get("model"), dict):
        raise RecipeError(
            f"{path} is no recipe of schema {SCHEMA}.", hint="It may be of another version of zoo."
        )
    for name in TABLES:
        if not isinstance(recipe.get(name, {}), dict):
            raise RecipeError(f"{path} holds what no run writes: {name} is no table.")
    return recipe


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, one per epoch; none where no epoch has ended.

    A last line that is cut short is left out: its process was stopped while it wrote. Raises
    RecipeError where another line is no row, or the file cannot be read.
    """
    path = folder / METRICS
    try:
        lines = text(path, MOST_ROWS).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise RecipeError(f"{path} is no text: {error}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise RecipeError(f"{path}, line {number}: {error}.") from error
        if not isinstance(row, dict):
            raise RecipeError(f"{path}, line {number} is no row of an epoch.")
        rows.append(row)
    return rows
