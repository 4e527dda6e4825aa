"""The recipe of a fine-tune: all that repeats it."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo_core.data.pictures import Pictures
from zoo_core.model.held import Held
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manager import BUILT_IN
from zoo_core.runs.recipe import BEST, SCHEMA
from zoo_core.training.loaders import augmented
from zoo_core.training.request import Request
from zoo_core.training.same_recipe import VALIDATION
from zoo_core.training.task import Task
from zoo_core.types import ModelInfo
from zoo_core.version import __version__
from zoo_core.weights.hashes import read_sha256

COMPARED = 10_000  # pictures that are read to know whether data is the same


def recipe_of(request: Request, task: Task) -> dict[str, Any]:
    """The tables of a recipe before the first step; [model] is filled in by `model_recipe`."""
    return {
        "schema": SCHEMA,
        "model": {},
        "start": _start(request, task),
        "data": _data(request, task),
        "train": _train(request, task),
        "versions": _versions(),
    }


def _start(request: Request, task: Task) -> dict[str, Any]:
    """What it began with."""
    model, origin = request.model, task.model.origin
    return {
        "model": model.origin.reference if isinstance(model, ZooModel) else str(model),
        "weights": origin.weights,
        "sha256": origin.sha256 or _sha256_of_run(model),
        "config": dict(request.config) if request.config else None,
        "object": _object(request),
    }


def _train(request: Request, task: Task) -> dict[str, Any]:
    """How it trains."""
    settings, model = task.settings, task.model
    augment = augmented(settings, model, task.train_set)
    table = settings.resolved(augment, task.precision) | {
        "regularizers": [
            item if isinstance(item, str) else type(item).__name__ for item in request.regularizers
        ],
        "unreadable": request.unreadable,
    }
    if settings.schedule is None and settings.train is None and model._freezing is not None:
        table["freeze_until"] = model._freezing.layer
    return table


def _sha256_of_run(model: ZooModel | str | Path) -> str | None:
    """That of the best weights, where the model is the path of a run."""
    if isinstance(model, ZooModel):
        return None
    best = Path(model).expanduser() / BEST
    return read_sha256(best) if best.is_file() else None


def _object(request: Request) -> str | None:
    """What was given as an object of Python, which no recipe can bring back."""
    if isinstance(request.model, ZooModel):
        return "the model"
    data, val = request.data, request.val
    if not isinstance(data, str | Path) or not isinstance(val, str | Path | bool | None):
        return "the data"
    return None if all(isinstance(item, str) for item in request.regularizers) else "a regularizer"


def _data(request: Request, task: Task) -> dict[str, Any]:
    """The data by name, and enough of it to notice that it has changed."""
    train_set, val_set = task.train_set, task.val_set
    words = (word for word, meaning in VALIDATION.items() if request.val is meaning)
    sets = [train_set, val_set] if val_set else [train_set]
    targets = repr([(pictures.classes, pictures.targets) for pictures in sets])
    return {
        "spec": shown(request.data),
        "val": next(words, None) or shown(request.val),
        "count": len(train_set),
        "val_count": len(val_set) if val_set else 0,
        "targets": hashlib.blake2b(targets.encode(), digest_size=8).hexdigest(),
        "content": _content(sets),
    }


def _content(sets: Sequence[Pictures]) -> str | None:
    """What identifies the pictures, where that needs no decoding: of many, those spread evenly."""
    if not all(pictures.has_digests for pictures in sets):
        return None
    digest = hashlib.blake2b(digest_size=8)
    for pictures in sets:
        for index in range(0, len(pictures), math.ceil(len(pictures) / COMPARED)):
            digest.update(pictures.digest(index))
    return digest.hexdigest()


def shown(data: Any) -> str:
    """What stands for data in a recipe: a spec as it is, an object by its class."""
    return str(data) if isinstance(data, str | Path | bool) else f"a {type(data).__name__}"


def _versions() -> dict[str, str]:
    names = ("torch", "timm", "accelerate")
    return {
        "zoo": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def model_recipe(model: ZooModel, held: Held, folder: Path | None) -> dict[str, Any]:
    """What rebuilds the model: also the weights that it stands on, where the run holds not all."""
    origin = model.origin
    alone = held.local is not None or len(held.names) == len(model.state_dict())
    return {
        "reference": origin.reference,
        "plugin": _third_party(model.info),
        "config": dict(origin.config),
        "weights": None if alone else origin.weights,
        "sha256": None if alone else origin.sha256,
        "num_classes": origin.num_classes,
        "in_chans": origin.in_chans,
        "labels": list(model.labels) if model.labels else None,
        "input": asdict(model.input),
        **({"base": held.local.told(folder)} if held.local is not None and folder else {}),
    }


def _third_party(info: ModelInfo) -> str | None:
    """The distribution that a model comes from, with its version, where it is not zoo's own."""
    if info.distribution in ("", BUILT_IN):
        return None
    plugin = catalogue().offered_by(info)
    return f"{info.distribution} {plugin.version}" if plugin else info.distribution
