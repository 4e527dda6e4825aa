"""`--weights`, `--labels` and `--config`, wherever a command takes a model: as in `zoo.create`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.arguments import config_option
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
    """The three options, which the command gets as `weights`, `labels` and `config`."""
    return _WEIGHTS(_LABELS(config_option(command)))


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


def chosen_model(
    model: str, weights: str | None, labels: str | None, config: Mapping[str, Any]
) -> ZooModel | str | Path:
    """The model with these weights, labels and arguments; without any, its name or path."""
    named = check_weights(model, weights)
    if weights is None and labels is None and not config:
        return named
    if "keep_until" in config and weights is None:
        raise click.UsageError(
            f"keep_until gives {model} a new head, which knows nothing yet. To train it: "
            f"zoo finetune {model} --keep-until {config['keep_until']} --data SPEC"
        )
    return made(named, weights, labels, config)


def made(
    named: str | Path, weights: str | None, labels: str | None, config: Mapping[str, Any]
) -> ZooModel:
    """The model by its name or path, with its own weights unless others are asked for."""
    from zoo_core.model.create import create
    from zoo_core.weights.pretrained import brings_weights

    own = None if brings_weights(named) else True
    return create(named, pretrained=weights or own, labels=labels, **config)
