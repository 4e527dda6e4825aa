"""Advice as what `zoo.finetune` and a recipe's file take, and as a line for the shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.data.pictures import Pictures
from zoo_core.data.places import is_relative, start_of_paths
from zoo_core.errors import DataError
from zoo_core.runs.writing import kept_whole, without_none
from zoo_core.training.preparing import prepared, split
from zoo_core.training.recipe import recipe_of
from zoo_core.training.request import Request
from zoo_core.training.settings import Settings
from zoo_core.weights.part import KEEP_UNTIL

# What finetune() does unless told otherwise.
_USUAL: dict[str, Any] = {
    "epochs": 10, "batch_size": 64, "lr": None, "optimizer": "adamw", "freeze_until": None,
    "train": None, "schedule": None, "augment": "auto", "cache": "auto", "head": "auto",
    "precision": "auto", "compile": False, "seed": 0, "workers": "auto",
}  # fmt: skip


def recipe_for(model: str | Path, data: Any, val: Any, how: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of the training that `zoo.finetune(model, data, val=val, **how)` is, before it.

    Raises what that would raise before its first step.
    """
    config = dict(how.get("config") or {})
    if how.get("keep_until"):
        config = {KEEP_UNTIL: how["keep_until"], **config}
    beside = ("keep_until", "config", "pretrained")
    settings = Settings(**_USUAL | {key: how[key] for key in how if key not in beside})
    settings.check()
    request = Request(model, data, val, [], config or None, "stop", how.get("pretrained"))
    with prepared(request, settings, out=False, resume=False, progress=False) as asked:
        task, _, settled = asked
        return recipe_of(settled, task, None)


def validation_for(val: Any, pictures: Pictures, seed: int) -> Any:
    """What a recipe validates with: a fifth, where each class has a picture to spare."""
    if val is not None:
        return val
    try:
        split(pictures, None, seed)
    except DataError:
        return False
    return None


def command_for(model: str | Path, data: Any, val: Any, how: Mapping[str, Any]) -> str:
    """The line of the shell that trains so; "" where it has no option or no name for that."""
    named = isinstance(data, str | Path) and isinstance(val, str | Path | bool | None)
    if how.get("pretrained") is False or not named:
        return ""
    words = ["zoo", "finetune", str(model), "--data", str(data)]
    if val is False:
        words.append("--no-val")
    elif val is not None:
        words += ["--val", str(val)]
    for key, value in (how.get("config") or {}).items():
        words += ["--config", f"{key}={json.dumps(value)}"]
    if how.get("pretrained"):
        words += ["--weights", str(how["pretrained"])]
    others = {key: value for key, value in how.items() if key not in ("config", "pretrained")}
    for key, value in others.items():
        option = f"--{key.replace('_', '-')}"
        if key == "augment":
            words.append(option if value else "--no-augment")
        elif value is not None and value != _USUAL.get(key):
            words += [option, str(value)]
    return shlex.join(words)


def write_recipe(recipe: Mapping[str, Any], path: Path) -> Path:
    """Write a recipe for `zoo finetune --recipe`, whole; relative paths in it go on to mean what
    they mean now. Raises RecipeError where it cannot be written."""
    tables = {key: dict(value) if isinstance(value, Mapping) else value
              for key, value in recipe.items()}  # fmt: skip
    data = tables["data"]
    specs = [data["spec"], data["val"]]
    if tables["start"].get("object") is None and any(map(_is_relative, specs)):
        data["folder"] = start_of_paths(path.parent)
    with kept_whole(path) as temporary:
        temporary.write_text(tomli_w.dumps(without_none(tables)), encoding="utf-8")
    return path


def _is_relative(spec: str) -> bool:
    return ":" in spec and is_relative(spec)
