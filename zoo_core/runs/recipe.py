"""The text files of a run folder, read without torch: its recipe and its epochs."""

from __future__ import annotations

import json
import re
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

MOST_TABLES = 1000  # a recipe has ten

# How deep tables and lists may lie in each other; and a key that goes deeper by its dots.
DEEPEST = 10
_KEY_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_KEY_PART}){{{DEEPEST}}}", re.M)

TABLES = ("model", "start", "data", "train", "versions", "best", "result", "cost")


def read_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of a run, by its folder or its file.

    Raises RecipeError where it is none, or of a newer zoo.
    """
    path = folder / RECIPE if folder.is_dir() else folder
    try:
        body = text(path, LARGEST)
        if _LONG_KEY.search(body) or body.count("\n[") > MOST_TABLES:  # tomllib would take hours
            raise RecursionError
        recipe = tomllib.loads(body)
    except OSError as error:
        raise RecipeError(
            f"{folder} is no run: {RECIPE} cannot be read: {error.strerror or error}."
        ) from error
    except RecursionError as error:
        raise RecipeError(
            f"{path} is no recipe: it has too many tables, or too deep ones."
        ) from error
    except ValueError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}.") from error
    if recipe.get("schema") != SCHEMA or not isinstance(recipe.get("model"), dict):
        raise RecipeError(
            f"{path} is no recipe of schema {SCHEMA}.", hint="It may be of another version of zoo."
        )
    if _is_deep(recipe):
        raise RecipeError(f"{path} is no recipe: it is nested too deeply.")
    for name in TABLES:
        if not isinstance(recipe.get(name, {}), dict):
            raise RecipeError(f"{path} holds what no run writes: {name} is no table.")
    return recipe


def _is_deep(recipe: dict[str, Any]) -> bool:
    """Whether tables and lists lie deeper in each other than in any recipe."""
    inside: list[Any] = [recipe]
    for _ in range(DEEPEST):
        lists = [list(i.values()) if isinstance(i, dict) else i for i in inside]
        inside = [value for one in lists for value in one if isinstance(value, dict | list)]
    return bool(inside)


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
