"""The model that a fine-tune starts from: built, or made by name, with a head for the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from zoo_core.data.pictures import Pictures
from zoo_core.errors import RecipeError, WeightsError, first_line
from zoo_core.model.answers import told as told_as
from zoo_core.model.create import create
from zoo_core.model.rebuilt import other_answers, rebuilt
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.training.class_names import fit_head, fit_trained_head
from zoo_core.training.request import Request
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.weights.part import KEEP_UNTIL
from zoo_core.weights.pretrained import brings_weights

# arguments of create() that finetune() decides
_OF_CREATE = ("name", "pretrained", "num_classes", "labels", "freeze_until", "device", "dtype")


def model_for(request: Request, pictures: Pictures, say: Callable[[str], None]) -> ZooModel:
    """The model to train, with a head for the classes of the data; `say`: takes lines about it."""
    model = request.model
    if isinstance(model, ZooModel):
        _refuse_unfit(model, pictures, request)
        return model
    if not isinstance(model, str | Path):
        name = type(model).__name__
        raise RecipeError(f"finetune wants a model of zoo or its name, not a {name}.")
    tuned = _by_name(model, request)
    brought = brings_weights(model) and not tuned.origin.new_head
    if tuned.origin.trained and (brought or _is_somebodys(request, tuned)):
        say(fit_trained_head(tuned, pictures, model))
    else:
        fit_head(tuned, pictures)
    return tuned


def _is_somebodys(request: Request, model: ZooModel) -> bool:
    """Whether somebody says which weights, or which classes they know, beside the registry."""
    weights = request.pretrained
    other = not isinstance(weights, bool | None) and str(weights) not in model.info.weights
    return other or request.labels is not None


def _refuse_unfit(model: ZooModel, pictures: Pictures, request: Request) -> None:
    """Raise RecipeError for a model that is built already and does not suit."""
    if (request.config or {}).keys() == {KEEP_UNTIL}:
        message = "keep_until is for a model by name; this one is built already."
        raise RecipeError(message, hint="Give it to zoo.create, with the name.")
    for argument in ("config", "pretrained", "labels"):
        if getattr(request, argument) not in (None, {}):
            message = f"{argument} is for a model by name; this one is built already."
            raise RecipeError(message, hint="Give its arguments to zoo.create.")
    if model.num_outputs < pictures.num_classes:
        raise RecipeError(
            f"The model has {model.num_outputs} classes, the data {pictures.num_classes}.",
            hint=f"Call model.reset_head({pictures.num_classes}) first.",
        )


def _by_name(name: str | Path, request: Request) -> ZooModel:
    """Pretrained where it has weights, unless others are asked for, or none."""
    config, weights = dict(request.config or {}), request.pretrained
    taken = [argument for argument in config if argument in _OF_CREATE]
    if taken:
        raise RecipeError(f"{taken[0]} is no argument of an architecture, so not for config.")
    if weights is None and not brings_weights(name):
        named = catalogue().find(str(name))
        weights = named.weights is not None or named.model.default_weights is not None
    return create(name, pretrained=weights, labels=request.labels, **config)


def refuse_other_scores(model: ZooModel, config: Mapping[str, Any]) -> None:
    """Raise RecipeError where the model gives something else than scores (N, C).

    Arguments make some do so, and changes by hand.
    """
    arguments = ", ".join(f"{name}={value!r}" for name, value in config.items())
    told = f"With {arguments} {model.info.name}" if arguments else f"This {model.info.name}"
    first = next(model.parameters())
    x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad():
            scores = in_eval_mode(model)(x)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise RecipeError(
            f"{told} takes no picture of {model.input.size}: {first_line(error)}."
        ) from error
    shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else told_as(scores)
    if shape != (1, model.num_outputs):
        raise RecipeError(
            f"{told} gives {shape} for a picture, and a training needs "
            f"{(1, model.num_outputs)}: a score for each class."
        )


def refuse_unwritable(model: ZooModel) -> None:
    """Raise RecipeError where a run would not come back as this model: it was changed by hand."""
    fault = _lost(model)
    if fault:
        raise RecipeError(
            f"This {model.info.name} would not come back from its run: {fault}.",
            hint="Ask zoo.create for it by arguments, or model.reset_head(N) for its classes: "
            "those are written down, and changes by hand are not. out=False trains it without a "
            "run.",
        )


def _lost(model: ZooModel) -> str:
    compiled = next((path for path, _ in model.named_modules() if "_orig_mod" in path), None)
    if compiled is not None:
        return f"{compiled.partition('._orig_mod')[0]} is compiled, which compile=True does later"
    try:
        return other_answers(model, rebuilt(model, "what its run would hold"))
    except WeightsError as error:
        return error.message.rstrip(".")


def refuse_lazy(model: ZooModel) -> None:
    """Raise RecipeError for a layer of torch's that waits for a picture to know its size."""
    lazy = next((name for name, tensor in model.state_dict().items() if is_lazy(tensor)), None)
    if lazy is not None:
        raise RecipeError(
            f"{lazy} has no size as yet.",
            hint="Give the model one batch of pictures before: model(x).",
        )
