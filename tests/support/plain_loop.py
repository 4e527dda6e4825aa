"""One step of a plain PyTorch loop, with the moments of a stack where they belong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_core.regularize.stack import Stack


def step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stack: Stack,
    x: Tensor,
    y: Tensor,
    *,
    micro: int = 1,
) -> None:
    """A step of the optimizer, its gradients from so many micro-batches."""
    optimizer.zero_grad()
    for some, classes in zip(x.chunk(micro), y.chunk(micro), strict=True):
        some, classes = stack.batch(some, classes)

        def closure(x: Tensor = some, y: Tensor = classes) -> Tensor:
            outputs = model(x)
            loss = stack.loss(nn.functional.cross_entropy(outputs, y), outputs, y) / micro
            loss.backward()
            return loss.detach()

        stack.passes(closure)
    stack.gradients()
    optimizer.step()
    stack.weights()
