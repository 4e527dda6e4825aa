"""timm's networks, built and loaded as timm does it."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def network(variant: str, **arguments: Any) -> nn.Module:
    """The network of that name without weights; arguments that are None are left to timm.

    Raises ValueError for a name that timm does not have, and for an argument that its class does
    not take.
    """
    import timm

    if not timm.is_model(variant):
        raise ValueError(f'timm {timm.__version__} has no "{variant}"')
    if variant.startswith("csatv2") and arguments.get("in_chans", 3) != 3:
        raise ValueError(
            f"{variant} takes pictures of 3 channels only: it begins with their colours"
        )
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        model = timm.create_model(variant, **given)
    except TypeError as error:
        fault = str(error).partition("__init__() ")[2]
        raise ValueError(f"{variant}: {fault or error}") from error
    for module in model.modules():
        if hasattr(module, "attention_bias_cache"):
            fresh: Any = functools.partial(attention_biases, module)
            module.get_attention_biases = fresh
    return model


def attention_biases(module: Any, device: torch.device) -> Tensor:
    """The biases of an attention, made anew.

    LeViT and its kin keep them in eval mode until the next call of `train()`, with the graph or
    without, as they were first asked for. What feeds a stage, and a copy, would then depend on it.
    """
    biases: Tensor = module.attention_biases[:, module.attention_bias_idxs]
    return biases


def in_timms_layout(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors under timm's names, where the module of the class knows the layout."""
    own = model.state_dict()
    if tensors.keys() == own.keys() and all(t.shape == own[n].shape for n, t in tensors.items()):
        return tensors
    module = sys.modules[type(model).__module__]
    change = getattr(module, "checkpoint_filter_fn", None)
    return dict(change(tensors, model)) if change is not None else tensors
