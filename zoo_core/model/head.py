"""The layers that give class scores: which they are, and new ones in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn

from zoo_core.errors import PluginError, ZooError
from zoo_core.model.arguments import off_meta
from zoo_core.types import Stage


class NoHead(nn.Identity):
    """What stands in the place of a classifier that was taken off.

    `make`: from a number of classes to a new classifier of the same kind.
    """

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.make = make


def is_quantised(module: nn.Module) -> bool:
    """Whether torch has put it in the place of a layer, with weights that are no tensors of it."""
    return type(module).__module__.startswith(("torch.ao.nn.quantized", "torch.nn.quantized"))


def gives_scores(module: nn.Module) -> bool:
    """Whether it is of a kind that can be a classifier."""
    known = isinstance(module, nn.Linear | nn.Conv2d | NoHead)
    return known or (is_quantised(module) and hasattr(module, "out_features"))


def _last_layer(module: nn.Module, prefix: str) -> str | None:
    """The path of the last linear layer or convolution under `prefix`, or of its NoHead."""
    below = Stage("below", run=(), owns=(prefix,))
    names = [
        name for name, part in module.named_modules() if below.has(name) and gives_scores(part)
    ]
    return names[-1] if names else None


def head_layers(model: nn.Module, stages: Mapping[str, Stage]) -> dict[str, nn.Module]:
    """The layers that give class scores: the classifier's, then those beside it: auxiliary heads,
    or the others of a network that adds up the scores of several.

    `owns` of the head lists it before its helpers, and may list members without parameters, and
    parameters that mix the scores of several.
    """
    names = [_last_layer(model, prefix) for prefix in stages["head"].owns]
    return {name: model.get_submodule(name) for name in names if name is not None}


def classifier(model: nn.Module, stages: Mapping[str, Stage]) -> str | None:
    """The path of the layer that gives class scores, or None where the head has no such layer."""
    return next(iter(head_layers(model, stages)), None)


def scores_of_one_layer(model: nn.Module, stages: Mapping[str, Stage]) -> bool:
    """Whether the scores are what one layer makes of its input, and no function of several such."""
    layers, run = list(head_layers(model, stages)), stages["head"].run
    if layers and layers[0] in run:
        return all(isinstance(step, str) for step in run[run.index(layers[0]) :])
    return len(layers) < 2


def outputs(layer: nn.Module) -> int:
    if isinstance(layer, NoHead):
        return 0
    return int(layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features)  # type: ignore[arg-type]


def replace_head(
    model: nn.Module,
    stages: Mapping[str, Stage],
    num_classes: int,
    kept: Mapping[int, int] | None = None,
) -> None:
    """Put new layers in the place of those that give class scores, or NoHead for no classes.

    `kept`: numbers of new classes, and what they were before: their weights are copied.
    """
    layers = list(head_layers(model, stages).items())
    if not layers:
        raise PluginError(
            f"The head of {type(model).__name__} is no linear layer or convolution to replace."
        )
    if any(is_quantised(old) for _, old in layers):
        raise ZooError("The head is quantised.", hint="Give the model its head, then quantise it.")
    for name, old in layers:
        like = next(chain(old.parameters(), model.parameters()), torch.empty(0))
        with off_meta():
            new = _new_layer(
                old, num_classes
            )  # in the default type: one seed gives one head in each
        new.to(device=like.device, dtype=like.dtype).train(old.training)
        _copy_rows(old, new, kept or {})
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, new)
    if hasattr(model, "num_classes"):  # the original class's own record, which timm's tools read
        model.num_classes = num_classes  # type: ignore[assignment]


@torch.no_grad()
def _copy_rows(old: nn.Module, new: nn.Module, kept: Mapping[int, int]) -> None:
    """Copy weights and biases of classes, which are rows, from one layer to another."""
    before = dict(old.named_parameters())
    if not kept or not before:
        return
    for name, parameter in new.named_parameters():
        parameter[list(kept)] = before[name][list(kept.values())]


def _new_layer(old: nn.Module, num_classes: int) -> nn.Module:
    make = old.make if isinstance(old, NoHead) else _maker(old)
    return make(num_classes) if num_classes else NoHead(make)


def _maker(old: nn.Module) -> Callable[[int], nn.Module]:
    bias = old.bias is not None
    if isinstance(old, nn.Linear):
        return functools.partial(nn.Linear, old.in_features, bias=bias)
    assert isinstance(old, nn.Conv2d)
    geometry: Any = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding}
    return functools.partial(nn.Conv2d, old.in_channels, bias=bias, **geometry)
