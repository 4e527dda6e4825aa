"""Tensors by the model's names -> what is written: in its order and shapes, each by itself."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo_core.errors import WeightsError
from zoo_core.model.convert.names import Names
from zoo_core.weights.tensors import misfit, type_name


class Values(NamedTuple):
    """`filled`: counters that the file lacks. `casts`: tensors whose type changed, and how."""

    tensors: dict[str, Tensor]
    filled: tuple[str, ...]
    casts: dict[str, str]


def values(names: Names, module: nn.Module) -> Values:
    """The tensors as the module's state dict lists them. Floating ones keep their own type.

    Raises WeightsError that lists what has another shape, or numbers of another kind.
    """
    own = module.state_dict()
    filled = tuple(name for name in own if name not in names.tensors)
    tensors = {name: names.tensors.get(name, torch.zeros_like(own[name])) for name in own}
    wrong = [fault for name in own if (fault := misfit(name, tensors[name], own[name]))]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{names.file} does not fit {names.outline.info.name}: {'; '.join(wrong[:3])}{more}.",
            hint="These weights are of another model or configuration.",
        )
    casts = {}
    for name, want in own.items():
        if not want.is_floating_point() and tensors[name].dtype != want.dtype:
            casts[name] = f"{type_name(tensors[name])} made {type_name(want)}"
            tensors[name] = tensors[name].to(want.dtype)
    return Values(_apart(tensors), filled, casts)


def types(tensors: dict[str, Tensor]) -> dict[str, int]:
    """How many tensors there are of each floating type."""
    names = [type_name(tensor) for tensor in tensors.values() if tensor.is_floating_point()]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same, contiguous, and none in the memory of another: safetensors wants them so."""
    taken: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in taken else tensor
        apart[name] = apart[name].contiguous()
        taken.add(memory)
    return apart
