"""Layers of a model that bear a mark, so that others in their place are noticed (`facts.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from zoo_core.errors import ZooError
from zoo_core.model.head import Maker, head_layers, maker, outputs, wrapped_in
from zoo_core.model.summary import scores_given


@dataclass(frozen=True)
class Watch:
    """Layers that facts are of, by path, with what makes another; all on the way bear the mark.

    `count`: the outputs of a classifier, or the channels that a convolution sees. `given`: what a
    head gives that makes something else of its last layer's numbers, or has no such layer.
    """

    name: str
    mark: str
    layers: Mapping[str, Maker | None]
    count: int
    given: int | None = None


def watch_head(model: Any, *, ask: bool = False) -> None:
    """From now on the facts are of the classifier that is there.

    `ask`: whether it may make something else of the numbers of its last layer.
    """
    layers = head_layers(model, model.chain)
    made = {path: maker(layer) for path, layer in layers.items()}
    ask = ask or (not layers and model._known_head is None and model.origin.num_classes > 0)
    given = None
    if ask and any(model.chain["head"].has(name) for name, _ in model.named_parameters()):
        given = scores_given(model, next(iter(layers), None))
    if not made and model._known_head is not None:
        made = dict(model._known_head.layers)  # where there will be one again
    count = next(map(outputs, layers.values()), 0)
    model._known_head = replace(_marked(model, "_zoo_head", made, count), given=given)


def watch_first(model: Any) -> None:
    """From now on the facts are of the first convolution that is there."""
    first = next((stage for stage in model.chain.values() if stage.owns), None)
    layers = (name for name, part in model.named_modules() if isinstance(part, nn.Conv2d))
    path = next((name for name in layers if first is not None and first.has(name)), None)
    if path is None:
        old = model._known_first
        paths, count = (dict(old.layers), 0) if old is not None else ({}, 0)
    else:
        paths, count = {path: None}, channels_of(model.get_submodule(path))
    model._known_first = _marked(model, "_zoo_first", paths, count)


def _marked(model: nn.Module, name: str, layers: Mapping[str, Maker | None], count: int) -> Watch:
    watch = Watch(name, uuid.uuid4().hex, layers, count)
    for path in layers:
        for _, part in way(model, path, watch):
            if part is not None:
                setattr(part, name, watch.mark)
    return watch


def channels_of(layer: nn.Module) -> int:
    """How many channels a convolution sees, which its weight knows best."""
    return int(layer.weight.shape[1] * layer.groups) if isinstance(layer, nn.Conv2d) else 0


def way(model: nn.Module, path: str, watch: Watch) -> Iterator[tuple[str, nn.Module | None]]:
    """The modules on the way to a layer, with their paths; None, at last, for one that is gone.

    What somebody wrapped one in is left out.
    """
    part: nn.Module | None = model
    names = path.split(".")
    for number, name in enumerate(names, start=1):
        part = _unwrapped(getattr(part, name, None), watch)
        yield ".".join(names[:number]), part
        if part is None:
            return


def _unwrapped(part: Any, watch: Watch) -> nn.Module | None:
    """The module with the mark that a module wraps, else the module itself."""
    inside = part
    while isinstance(inside, nn.Module):
        if vars(inside).get(watch.name) == watch.mark:
            return inside
        inside = wrapped_in(inside)
    return part if isinstance(part, nn.Module) else None


def num_outputs(model: Any) -> int:
    """How many numbers the head that was watched last gives for a picture."""
    head = model._known_head
    if head is not None and head.given is not None:
        return head.given
    return next(map(outputs, head_layers(model, model.chain).values()), 0)


def refuse_other_head(model: Any, classes: int) -> None:
    """Raise ZooError for a head in which no layer for so many classes can be put."""
    head = model._known_head
    if head is None or head.given in (None, head.count) or not head.count or not classes:
        return
    raise ZooError(
        f"The head of {model.info.name} makes {head.given} scores of the {head.count} numbers of "
        f"its last layer, so that a layer for {classes} classes does not fit in.",
        hint=f"Put a whole head there: model.{model.chain['head'].owns[0]} = …",
    )
