"""Batches, scores and a LeNet-5 for the tests of regularizers that act on batches and losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import zoo_core as zoo

MIXING = ("mixup", "cutmix", "manifold-mixup")


def lenet(*, freeze_until: str | None = None) -> zoo.ZooModel:
    torch.manual_seed(0)
    model = zoo.create("lenet5").train()
    return model.freeze_until(freeze_until) if freeze_until else model


def digits(count: int = 6) -> tuple[Tensor, Tensor]:
    drawing = torch.Generator().manual_seed(1)
    x = torch.rand(count, 1, 32, 32, generator=drawing)
    return x, torch.randint(10, (count,), generator=drawing)


def scores() -> tuple[Tensor, Tensor]:
    drawing = torch.Generator().manual_seed(2)
    outputs = 3 * torch.randn(5, 4, dtype=torch.float64, generator=drawing)
    return outputs.requires_grad_(), torch.randint(4, (5,), generator=drawing)


def same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
