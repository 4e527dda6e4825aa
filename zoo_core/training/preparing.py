"""What a fine-tune needs before its first step: split, model and folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import split as split_in_two
from zoo_core.errors import DataError, RecipeError
from zoo_core.inference.matching import matched
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import called
from zoo_core.regularize.stack import Stack
from zoo_core.transfer.modes import evaluating

# arguments of create() that finetune() decides
_OF_CREATE = ("name", "pretrained", "num_classes", "freeze_until", "device", "dtype")


def split(
    pictures: Pictures, val: Any, seed: int, **reading: Any
) -> tuple[Pictures, Pictures | None]:
    """Pictures to train and to validate with.

    Raises DataError for one class, or for sets that do not match.
    """
    if not pictures.multilabel and len(set(pictures.targets)) < 2:
        raise DataError(
            f"{pictures.name} holds pictures of one class; a classifier needs two.",
            hint="In a folder, each class has a sub-folder of its own.",
        )
    if val is False:
        return pictures, None
    if val is None:
        return split_in_two(pictures, max(len(pictures) // 5, 1), seed)
    held_out = open_data(val, **reading)
    return pictures, matched(held_out, pictures.classes, pictures.num_classes)


def model_for(
    model: ZooModel | str | Path, pictures: Pictures, config: Mapping[str, Any]
) -> ZooModel:
    """The model to train, with a head for the classes of the data."""
    from zoo_core.model.create import create
    from zoo_core.plugins.catalogue import catalogue
    from zoo_core.weights.pretrained import brings_weights

    if isinstance(model, ZooModel):
        if config:
            message = "config is for a model by name; this one is built already."
            raise RecipeError(message, hint="Give its arguments to zoo.create.")
        if model.num_outputs < pictures.num_classes:
            raise RecipeError(
                f"The model has {model.num_outputs} classes, the data {pictures.num_classes}.",
                hint=f"Call model.reset_head({pictures.num_classes}) first.",
            )
        return model
    if not isinstance(model, str | Path):
        kind = type(model).__name__
        raise RecipeError(f"finetune wants a model of zoo or its name, not a {kind}.")
    taken = [name for name in config if name in _OF_CREATE]
    if taken:
        raise RecipeError(f"{taken[0]} is no argument of an architecture, so not for config.")
    if brings_weights(model):
        tuned = create(model, **config)
    else:
        named = catalogue().find(str(model))
        has_weights = named.weights is not None or named.model.default_weights is not None
        tuned = create(model, pretrained=has_weights, **config)
    ours, theirs = pictures.classes or None, tuned.labels or None
    if pictures.num_classes != tuned.num_outputs or ours != theirs:
        tuned.reset_head(pictures.num_classes, labels=pictures.classes)
    return tuned


def refuse_other_scores(model: ZooModel, config: Mapping[str, Any]) -> None:
    """Raise RecipeError where arguments made the model give something else than scores (N, C)."""
    first = next(model.parameters())
    x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
    with evaluating(model), torch.inference_mode():
        shape = tuple(model(x).shape)
    if shape != (1, model.num_outputs):
        given = ", ".join(f"{name}={value!r}" for name, value in config.items())
        raise RecipeError(
            f"With {given} {model.info.name} gives {shape} for a picture, and a training needs "
            f"{(1, model.num_outputs)}: a score for each class."
        )


def are_new(stack: Stack) -> None:
    """Raise RecipeError for regularizers that still hold the state of another training."""
    for member in stack.members:
        if isinstance(member, Stack):
            are_new(member)
        if "model" in vars(member):
            raise RecipeError(
                f"{called(member)} was in a training already, and would go on from there.",
                hint="Give names, or make new regularizers for each run.",
            )
