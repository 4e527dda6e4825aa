"""The recipe of a fine-tune: all that repeats it."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo_core.data.places import is_relative, start_of_paths
from zoo_core.data.trained_on import content_of
from zoo_core.model.held import Held
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manager import BUILT_IN
from zoo_core.runs.recipe import BEST, SCHEMA, VALIDATION
from zoo_core.training.loaders import augmented
from zoo_core.training.request import Request
from zoo_core.training.task import Task
from zoo_core.types import ModelInfo
from zoo_core.version import __version__
from zoo_core.weights.hashes import read_sha256
from zoo_core.weights.local import local_base
from zoo_core.weights.pretrained import is_path
from zoo_core.weights.published import written_input


def recipe_of(request: Request, task: Task, folder: Path | None) -> dict[str, Any]:
    """The tables of a recipe before the first step; [model] is filled in by `model_recipe`.

    `folder`: where it will be.
    """
    return {
        "schema": SCHEMA,
        "model": {},
        "start": _start(request, task),
        "data": _data(request, task) | {"folder": _start_of_paths(request, folder)},
        "train": _train(request, task),
        "versions": _versions(),
    }


def _start(request: Request, task: Task) -> dict[str, Any]:
    """What it began with."""
    model, origin, labels = request.model, task.model.origin, request.labels
    return {
        "model": model.origin.reference if isinstance(model, ZooModel) else str(model),
        "weights": None if _is_here(request, task) else origin.weights,
        "sha256": _sha256(request, task),
        "pretrained": _pretrained(request, task),
        "labels": list(labels) if isinstance(labels, tuple) else labels,
        "config": dict(request.config) if request.config else None,
        "kept": list(origin.kept) or None,
        "object": _object(request),
    }


def _start_of_paths(request: Request, folder: Path | None) -> str | None:
    """Where relative paths of data and model begin, seen from the run, where there are some."""
    specs = [str(spec) for spec in (request.data, request.val) if isinstance(spec, str | Path)]
    models = any(map(_is_relative_path, (request.model, request.pretrained)))
    if folder is None or not (models or any(map(is_relative, specs))):
        return None
    return start_of_paths(folder)


def _is_relative_path(model: Any) -> bool:
    """Whether it is a relative path on this machine, and no model or weights by name."""
    if not isinstance(model, str | Path):
        return False
    path = Path(model).expanduser()
    return not path.is_absolute() and path.exists()


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
    if settings.schedule is None and settings.train is None and model._freezing and model.frozen:
        table["freeze_until"] = model._freezing.layer
    return table


def _pretrained(request: Request, task: Task) -> str | bool | None:
    """The weights that were asked for: None for the usual ones.

    Of an address what tells no secret, and means just these bytes; a path looks like one.
    """
    asked, model = request.pretrained, task.model
    if asked is None or isinstance(asked, bool):
        return None if asked else asked
    text = str(asked)
    if "://" in text and model.loaded_from is None:
        return model.origin.weights or text
    is_name = text in model.info.weights or is_path(text) or text.startswith("file:")
    return text if is_name else f"./{text}"


def _is_here(request: Request, task: Task) -> bool:
    """Whether weights of a path were asked for: it may be moved, and its bytes say which it is."""
    return request.pretrained not in (None, True) and task.model.loaded_from is not None


def _sha256(request: Request, task: Task) -> str | None:
    """That of the weights it began with: of their file here, or of the best ones of a run."""
    model, source = request.model, task.model.loaded_from
    if _is_here(request, task):
        base = local_base(str(source))
        return base.sha256 if base is not None else None
    if task.model.origin.sha256 or isinstance(model, ZooModel):
        return task.model.origin.sha256
    best = Path(model).expanduser() / BEST
    return read_sha256(best) if best.is_file() else None


def _object(request: Request) -> str | None:
    """What was given as an object of Python, which no recipe can bring back."""
    data, val = request.data, request.val
    if not isinstance(data, str | Path) or not isinstance(val, str | Path | bool | None):
        return "the data"  # first: without it nothing says what was held out
    if isinstance(request.model, ZooModel):
        return "the model"
    return None if all(isinstance(item, str) for item in request.regularizers) else "a regularizer"


def _data(request: Request, task: Task) -> dict[str, Any]:
    """The data by name, and enough of it to notice that it has changed."""
    train_set, val_set = task.train_set, task.val_set
    words = (word for word, meaning in VALIDATION.items() if request.val is meaning)
    sets = [train_set, val_set] if val_set else [train_set]
    targets = repr([(p.classes, len(p) if p.streamed else p.targets) for p in sets])
    return {
        "spec": shown(request.data),
        "name": None if isinstance(request.data, str | Path) else train_set.name,
        "val": next(words, None) or shown(request.val),
        "count": len(train_set),
        "val_count": len(val_set) if val_set else 0,
        "targets": hashlib.blake2b(targets.encode(), digest_size=8).hexdigest(),
        "content": content_of(sets),
    }


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
        "multilabel": model.multilabel or None,
        "input": written_input(model.input),
        **({"base": held.local.told(folder)} if held.local is not None and folder else {}),
    }


def _third_party(info: ModelInfo) -> str | None:
    """The distribution that a model comes from, with its version, where it is not zoo's own."""
    if info.distribution in ("", BUILT_IN):
        return None
    plugin = catalogue().offered_by(info)
    return f"{info.distribution} {plugin.version}" if plugin else info.distribution
