"""The recipe of a fine-tune: all that repeats it."""

from __future__ import annotations

import hashlib
import math
import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.data.pictures import Pictures
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manager import BUILT_IN
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.runs.folder import without_none
from zoo_core.runs.recipe import BEST
from zoo_core.types import ModelInfo
from zoo_core.version import __version__
from zoo_core.weights.hashes import read_sha256


def model_recipe(model: ZooModel, complete: bool) -> dict[str, Any]:
    """What rebuilds the model.

    `complete`: the run holds every tensor and needs no pretrained weights.
    """
    origin = model.origin
    return {
        "reference": origin.reference,
        "plugin": _third_party(model.info),
        "config": dict(origin.config),
        "weights": None if complete else origin.weights,
        "sha256": None if complete else origin.sha256,
        "num_classes": origin.num_classes,
        "in_chans": origin.in_chans,
        "labels": list(model.labels) if model.labels else None,
        "input": asdict(model.input),
    }


def _third_party(info: ModelInfo) -> str | None:
    """The distribution that a model comes from, with its version, where it is not zoo's own."""
    if info.distribution in ("", BUILT_IN):
        return None
    plugin = catalogue().offered_by(info)
    return f"{info.distribution} {plugin.version}" if plugin else info.distribution


COMPARED = 10_000  # pictures that are read to know whether data is the same


def shown_model(model: ZooModel | str | Path) -> str:
    return model.origin.reference if isinstance(model, ZooModel) else str(model)


def sha256_of_run(model: ZooModel | str | Path) -> str | None:
    """That of the best weights, where the model is the path of a run."""
    if isinstance(model, ZooModel):
        return None
    best = Path(model).expanduser() / BEST
    return read_sha256(best) if best.is_file() else None


def objects(model: Any, data: Any, val: Any, members: list[Any]) -> str | None:
    """What was given as an object of Python, which no recipe can bring back."""
    if isinstance(model, ZooModel):
        return "the model"
    if not isinstance(data, str | Path) or not isinstance(val, str | Path | bool | None):
        return "the data"
    return None if all(isinstance(item, str) for item in members) else "a regularizer"


def shown_data(
    data: Any, val: Any, train_set: Pictures, val_set: Pictures | None
) -> dict[str, Any]:
    """The data by name, and enough of it to notice that it has changed."""
    words = (word for word, meant in VALIDATION.items() if val is meant)
    sets = [train_set, val_set] if val_set else [train_set]
    targets = repr([(pictures.classes, pictures.targets) for pictures in sets])
    return {
        "spec": shown(data),
        "val": next(words, None) or shown(val),
        "count": len(train_set),
        "val_count": len(val_set) if val_set else 0,
        "targets": hashlib.blake2b(targets.encode(), digest_size=8).hexdigest(),
        "content": _content(sets),
    }


def _content(sets: Sequence[Pictures]) -> str | None:
    """What identifies the pictures, where that needs no decoding: of many, those spread evenly."""
    if not all(pictures.has_digests for pictures in sets):
        return None
    found = hashlib.blake2b(digest_size=8)
    for pictures in sets:
        for index in range(0, len(pictures), math.ceil(len(pictures) / COMPARED)):
            found.update(pictures.digest(index))
    return found.hexdigest()


def versions_here() -> dict[str, str]:
    names = ("torch", "timm", "accelerate")
    return {
        "zoo": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def shown(data: Any) -> str:
    """What stands for data in a recipe: a spec as it is, an object by its class."""
    return str(data) if isinstance(data, str | Path | bool) else f"a {type(data).__name__}"


def listed(chosen: Any) -> list[Any]:
    return [chosen] if isinstance(chosen, str | Regularizer) else list(chosen)


def shown_list(members: list[Any]) -> list[str]:
    return [item if isinstance(item, str) else type(item).__name__ for item in members]


TABLES = ("train", "start", "data")


# What may differ between a run and its resumption: the result does not depend on it.
FREE = {"cache", "workers"}


# The words of a recipe for validation that is no data of its own.
VALIDATION = {"a fifth": None, "none": False}


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
