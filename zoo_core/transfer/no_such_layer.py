"""Errors of a layer that nothing can be frozen until: what there is instead."""

from __future__ import annotations

from torch import nn

from zoo_core.chain import chain_of
from zoo_core.errors import FreezeError, UnknownName, did_you_mean


def no_name(model: nn.Module, layer: object) -> UnknownName:
    return UnknownName(
        f"A layer is named by a string, not by {type(layer).__name__}.", hint=_order(model)
    )


def unknown_layer(model: nn.Module, layer: str) -> UnknownName:
    if layer in getattr(model, "_dropped", ()):
        fault = f'"{layer}" is not there to freeze until: the model keeps what comes before it.'
        return UnknownName(fault, hint=_order(model))
    paths = {name for name, _ in model.named_modules() if name}
    near = did_you_mean(layer, paths.union(chain_of(model)))
    return UnknownName(f'No layer "{layer}". {near}'.strip(), hint=_order(model))


def _order(model: nn.Module) -> str:
    return f"{'Stages in order' if chain_of(model) else 'Top level'}: {' '.join(_parts(model))}."


def _parts(model: nn.Module) -> list[str]:
    return list(chain_of(model)) or [name for name, _ in model.named_children()]


def nothing_feeds(model: nn.Module, layer: str) -> FreezeError:
    later = " ".join(_parts(model)[1:])
    return FreezeError(
        f'Nothing feeds "{layer}": freezing until there would freeze nothing.',
        hint=f"Freeze until a later layer: {later}. To train everything, do not freeze.",
    )
