"""The layers that give class scores: which they are, and new ones in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn

from zoo_core.chain import make_chain
from zoo_core.errors import PluginError, ZooError
from zoo_core.model.arguments import off_meta
from zoo_core.types import Stage
from zoo_core.weights.tensors import WRAPPERS


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


# what torch (all but DataParallel, whose `module` is a common name) and PEFT call what they wrap
INSIDE = (*(name for name in WRAPPERS if name != "module"), "base_layer", "original_module")


def wrapped_in(module: nn.Module) -> nn.Module | None:
    """What a module wraps, as torch and PEFT wrap a layer: it gives as many numbers as that."""
    inside = (module._modules.get(name) for name in INSIDE)
    return next((part for part in inside if part is not None), None)


def _innermost(module: nn.Module) -> nn.Module:
    inside = wrapped_in(module)
    return module if inside is None else _innermost(inside)


def gives_scores(module: nn.Module) -> bool:
    """Whether it is of a kind that can be a classifier."""
    module = _innermost(module)
    known = isinstance(module, nn.Linear | nn.Conv2d | NoHead)
    return known or (is_quantised(module) and hasattr(module, "out_features"))


def _last_layer(module: nn.Module, prefix: str) -> str | None:
    """The path of the last linear layer or convolution under `prefix`, or of its NoHead.

    Where somebody put another module in the place of several, the last layer of that one; where
    somebody wrapped a layer, what it is wrapped in.
    """
    below = Stage("below", run=(), owns=(_way(module, prefix),))
    names = [
        name for name, part in module.named_modules() if below.has(name) and gives_scores(part)
    ]
    return next((name for name in names if f"{names[-1]}.".startswith(f"{name}.")), None)


def _way(module: nn.Module, path: str) -> str:
    """The path, or as much of it as there is; at least its first part."""
    names = path.split(".")
    for number, name in enumerate(names):
        if not hasattr(module, name):
            return ".".join(names[: max(number, 1)])
        module = getattr(module, name)
    return path


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
    layer = _innermost(layer)
    if isinstance(layer, NoHead):
        return 0
    return int(layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features)  # type: ignore[arg-type]


Maker = Callable[[int], nn.Module]


def put_head(
    model: nn.Module,
    stages: dict[str, Stage],
    num_classes: int,
    kept: Mapping[int, int] | None = None,
    makers: Mapping[str, Maker | None] | None = None,
) -> dict[str, Stage]:
    """Put a new classifier in the place of the head, or none for no classes. Returns the chain.

    `kept`: numbers of new classes, and what they were before: their weights are copied. `makers`:
    of the layers that were there, for a model that somebody else took them off.
    """
    gone = not any(map(outputs, head_layers(model, stages).values()))
    reset = stages["head"].reset
    if reset is not None and (gone or not num_classes):
        return make_chain(reset(model, num_classes), type(model).__name__)
    _replace_layers(model, stages, num_classes, kept or {}, makers or {})
    if hasattr(model, "num_classes"):  # the original class's own record, which timm's tools read
        model.num_classes = num_classes  # type: ignore[assignment]
    return stages


def _replace_layers(
    model: nn.Module,
    stages: Mapping[str, Stage],
    num_classes: int,
    kept: Mapping[int, int],
    makers: Mapping[str, Maker | None],
) -> None:
    layers = head_layers(model, stages)
    if not layers:
        makes = {path: make for path, make in makers.items() if make is not None}
        layers = {
            path: NoHead(make).train(model.training)
            for path, make in makes.items()
            if _way(model, path) == path
        }
    if not layers:
        raise PluginError(
            f"The head of {type(model).__name__} is no linear layer or convolution to replace."
        )
    if any(is_quantised(old) for old in layers.values()):
        raise ZooError("The head is quantised.", hint="Give the model its head, then quantise it.")
    for name, old in layers.items():
        like = next(chain(old.parameters(), model.parameters()), torch.empty(0))
        with off_meta():  # in the default type: one seed, one head
            new = _new_layer(_innermost(old), num_classes)
        new.to(device=like.device, dtype=like.dtype).train(old.training)
        _copy_rows(_innermost(old), new, kept)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, new)


@torch.no_grad()
def _copy_rows(old: nn.Module, new: nn.Module, kept: Mapping[int, int]) -> None:
    """Copy weights and biases of classes, which are rows, from one layer to another."""
    before = dict(old.named_parameters())
    if not kept or not before:
        return
    for name, parameter in new.named_parameters():
        parameter[list(kept)] = before[name][list(kept.values())]


def _new_layer(old: nn.Module, num_classes: int) -> nn.Module:
    make = maker(old)
    assert make is not None
    return make(num_classes) if num_classes else NoHead(make)


def maker(layer: nn.Module) -> Maker | None:
    """What makes another such layer for any number of classes; None for a quantised one."""
    layer = _innermost(layer)
    if isinstance(layer, NoHead):
        return layer.make
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return functools.partial(nn.Linear, layer.in_features, bias=bias)
    if not isinstance(layer, nn.Conv2d):
        return None
    names = ("kernel_size", "stride", "padding")
    geometry: Any = {name: getattr(layer, name) for name in names}
    return functools.partial(nn.Conv2d, layer.in_channels, bias=bias, **geometry)
