"""Contexts that leave a model as they found it: its modes, its flags, and the random generators."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@contextlib.contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Every module's own mode again outside, whatever happens inside, without calling `train()`."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode again outside."""
    with modes_kept(model):
        for module in model.modules():
            module.training = False
        yield


@contextlib.contextmanager
def everything_learns(model: nn.Module) -> Iterator[None]:
    """Every parameter requires a gradient inside; its own flag again outside."""
    flags = [(p, p.requires_grad) for p in model.parameters() if can_learn(p)]
    for parameter, _ in flags:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextlib.contextmanager
def recording(model: nn.Module) -> Iterator[None]:
    """Autograd records inside, whatever mode the caller is in.

    Nothing is compiled, since a compiled region is one node of the graph. Random generators stand
    outside as they stood before.
    """
    cuda = {p.device.index for p in model.parameters() if p.is_cuda}
    compiler = "torch._dynamo" in sys.modules  # else nothing is compiled, and importing it is slow
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.random.fork_rng(devices=cuda),
        torch.compiler.set_stance("force_eager") if compiler else contextlib.nullcontext(),
    ):
        yield


def can_learn(tensor: Tensor) -> bool:
    """Whether autograd can give it a gradient: numbers with a fraction, and there already."""
    return (tensor.is_floating_point() or tensor.is_complex()) and not is_lazy(tensor)
