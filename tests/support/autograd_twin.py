"""The plain twin of freeze_until: what feeds a layer, by torch.autograd.grad, and no zoo in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def feeds(model: nn.Module, layer: str, *args: Any, **kwargs: Any) -> set[str]:
    """Names of the parameters that the inputs of the layer's first call have a gradient for."""
    calls: list[list[Tensor]] = []

    def capture(module: nn.Module, args: Any, kwargs: Any) -> None:
        calls.append([tensor.clone() for tensor in tensors_in((args, kwargs))])

    handle = model.get_submodule(layer).register_forward_pre_hook(capture, with_kwargs=True)
    with _in_eval_mode(model), _all_requiring_grad(model):
        model(*args, **kwargs)
        handle.remove()
        return with_gradient(model, calls[0])


def with_gradient(model: nn.Module, tensors: list[Tensor]) -> set[str]:
    """Names of the parameters that the sum of some tensors has a gradient for."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    joined = [tensor.sum() for tensor in tensors if tensor.requires_grad]
    if not joined:
        return set()
    found = torch.autograd.grad(sum(joined), parameters, retain_graph=True, allow_unused=True)
    return {name for name, gradient in zip(names, found, strict=True) if gradient is not None}


def tensors_in(value: Any) -> list[Tensor]:
    """Every floating tensor in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        return tensors_in(list(value.values()))
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


@contextlib.contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = False
    yield
    for module, mode in modes:
        module.training = mode


@contextlib.contextmanager
def _all_requiring_grad(model: nn.Module) -> Iterator[None]:
    flags = [(p, p.requires_grad) for p in model.parameters()]
    for parameter, _ in flags:
        parameter.requires_grad = True
    yield
    for parameter, flag in flags:
        parameter.requires_grad = flag
