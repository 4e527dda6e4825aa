"""What every way to use a network begins from: what `zoo.finetune` calls it, and takes beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import RecipeError, WeightsError
from zoo_core.humanize import some
from zoo_core.inference.matching import as_model
from zoo_core.model.create import create
from zoo_core.model.zoo_model import ZooModel


@dataclass(frozen=True)
class Beginning:
    """A name or a path, and arguments that go with it: `pretrained` and `config`, where any."""

    model: str | Path
    beside: Mapping[str, Any] = field(default_factory=dict)


def beginning(model: Any) -> tuple[ZooModel, Beginning]:
    """A network with its weights, and how it is made again for each way.

    A model that `zoo.create` made counts by what it was made from, which it must still be: ways are
    compared from the same beginning, and a recipe has to name it. Raises RecipeError for one that
    was changed since, WeightsError for one without weights.
    """
    network = as_model(model)
    named = isinstance(model, str | Path)
    if not network.origin.trained:
        raise WeightsError(
            f"{model if named else network.origin.reference} has no weights, so there is nothing "
            "to transfer.",
            hint='"zoo list --pretrained" has models with weights.',
        )
    if named:
        return network, Beginning(model)
    _refuse_changed(network)
    return network, Beginning(network.origin.reference, _beside(network))


def _refuse_changed(network: ZooModel) -> None:
    """Raise RecipeError for a model that is another than what it was made from."""
    origin = network.origin
    if origin.weights is None:
        fault = "its weights are on this machine alone"
    else:
        twin = create(
            origin.reference, pretrained=origin.weights, in_chans=origin.in_chans, **origin.config
        )
        fault = _unlike(network, twin)
    if fault:
        raise RecipeError(
            f"advise trains a model several times from its beginning, and of this one {fault}.",
            hint='Give a name, the folder of a run (run.path), or what zoo.create("NAME", '
            "pretrained=True, …) gave.",
        )


def _beside(network: ZooModel) -> dict[str, Any]:
    """What `zoo.finetune` takes beside the name: arguments, and weights that are not the usual."""
    origin, usual = network.origin, network.info.default_weights
    config: dict[str, Any] = dict(origin.config)
    if origin.in_chans != network.info.input.size[0]:
        config["in_chans"] = origin.in_chans
    beside: dict[str, Any] = {"config": config or None}
    if usual is None or origin.weights != usual.tag:
        beside["pretrained"] = origin.weights
    return beside


def _unlike(network: ZooModel, twin: ZooModel) -> str:
    """In what a model differs from the one that would be made again; the head has no say."""
    if network.input != twin.input:
        return "input was changed"
    head = network.chain["head"]
    own, other = network.state_dict(), twin.state_dict()
    names = [n for n in dict.fromkeys((*own, *other)) if not head.has(n)]
    apart = [
        n for n in names
        if n not in own or n not in other or not _equal(own[n], other[n])
    ]  # fmt: skip
    return f"{some(apart)} changed since" if apart else ""


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.to(b.device, b.dtype), b)
