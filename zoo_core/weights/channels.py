"""The first convolution of a checkpoint, fitted to another number of input channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo_core.types import Stage


def channels_in(tensors: Mapping[str, Tensor], module: nn.Module, first: Stage) -> int | None:
    """How many channels the checkpoint's own first convolution sees, None where none is there.

    `first`: the first stage of the module that has weights.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and first.has(name):
            weight = tensors.get(f"{name}.weight")
            return weight.shape[1] if weight is not None and weight.ndim == 4 else None
    return None


def with_channels(
    tensors: Mapping[str, Tensor], module: nn.Module, first: Stage, channels: tuple[int, int]
) -> dict[str, Tensor]:
    """The tensors; convolutions of the first stage see as many channels as the module's own.

    `channels`: those of the tensors, and those of the module.
    """
    own = module.state_dict()
    return {
        name: fit_channels(tensor, channels[1])
        if name in own and first.has(name) and _differs(tensor, own[name], *channels)
        else tensor
        for name, tensor in tensors.items()
    }


def _differs(tensor: Tensor, want: Tensor, theirs: int, ours: int) -> bool:
    """Whether two convolutions' weights differ in their input channels, and in nothing else."""
    if tensor.ndim != 4 or want.ndim != 4 or theirs == ours:
        return False
    same = tensor.shape[0] == want.shape[0] and tensor.shape[2:] == want.shape[2:]
    return same and tensor.shape[1] == theirs and want.shape[1] == ours


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution's weight (out, in, h, w) for another number of input channels.

    One channel: the sum over colours. More: the colours in turn, rescaled so that equal channels
    give equal outputs.
    """
    have = weight.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    index = torch.arange(channels, device=weight.device) % have
    return weight.index_select(1, index) * (have / channels)
