"""What is around a model: torch's wrappers, or a module of a training loop."""

from __future__ import annotations

from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside the wrappers of torch: compiled, data-parallel, or both."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model


def uncompiled(name: str) -> str:
    """The name of a tensor as it is in a model of which no part is compiled.

    >>> uncompiled("layer4._orig_mod.0.conv1.weight")
    'layer4.0.conv1.weight'
    """
    return name.replace("_orig_mod.", "")


def only_child(module: nn.Module) -> nn.Module:
    """A child under which the names are those of the model, so that stages and weights fit."""
    children = [child for child in module.children() if any(True for _ in child.parameters())]
    own = any(True for _ in module.parameters(recurse=False))
    return children[0] if len(children) == 1 and not own else module
