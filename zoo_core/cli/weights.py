"""`--weights` and `--labels`, wherever a command takes a model: as `zoo.create` takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.files import name_or_path

if TYPE_CHECKING:
    from zoo_core.model.zoo_model import ZooModel

_WEIGHTS = click.option(
    "--weights",
    metavar="WHAT",
    help="Weights for a model by name: a file (zoo convert writes one), an exported folder, a tag, "
    "or an address: hf://…, https://…, pkg://….",
)
_LABELS = click.option(
    "--labels",
    metavar="NAME|FILE",
    help="What its outputs are called: imagenet-1k, or a text file with a name a line.",
)


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options, which the command gets as `weights` and `labels`."""
    return _WEIGHTS(_LABELS(command))


def check_weights(model: str, weights: str | None) -> str | Path:
    """The model's name or path. Raises UsageError for weights beside what has its own."""
    from zoo_core.weights.pretrained import brings_weights

    named = name_or_path(model)
    if weights is not None and brings_weights(named):
        raise click.UsageError(
            f"{model} has weights of its own. Leave --weights out, or name the network instead, "
            "such as resnet50."
        )
    return named


def chosen_model(model: str, weights: str | None, labels: str | None) -> ZooModel | str | Path:
    """The model with these weights and labels; without any, its name or path as it is."""
    named = check_weights(model, weights)
    if weights is None and labels is None:
        return named
    from zoo_core.model.create import create
    from zoo_core.weights.pretrained import brings_weights

    own = None if brings_weights(named) else True
    return create(named, pretrained=weights or own, labels=labels)
