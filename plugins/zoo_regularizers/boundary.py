"""The boundary between what is frozen and what trains."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from zoo_core.chain import chain_of
from zoo_regularizers.places import holds, modules_of


def first_trained(model: nn.Module, trained: Collection[str]) -> nn.Module | None:
    """The module that takes in what enters the first trained stage; None where nothing trains.

    In a module without stages it is the first child that trains. `trained`: names of parameters.
    """
    for stage in chain_of(model).values():
        if any(stage.has(name) for name in trained):
            paths = modules_of(model, stage.name)
            return model.get_submodule(paths[0]) if paths else None
    for path, child in model.named_children():
        if holds(path, trained):
            return child
    return model if trained else None
