"""Small modules to freeze, and the comparison of what is frozen with what autograd says."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from support.autograd_twin import feeds


def assert_freezes_as_the_twin_says(model: nn.Module, layer: str, *args) -> set[str]:
    """Freeze, compare with the twin, and return what is frozen."""
    expected = feeds(model, layer, *args)
    assert zoo.freeze_until(model, layer, example=args) is model
    assert set(model.frozen) == expected
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {name for name, _ in model.named_parameters()} - expected
    return expected


def layers(*widths: int) -> nn.Sequential:
    """Linear layers `0`, `1`, ... from width to width."""
    return nn.Sequential(*[nn.Linear(a, b) for a, b in itertools.pairwise(widths)])


def still_training(model: nn.Module) -> set[str]:
    return {name for name, module in model.train().named_modules() if module.training}


class Boundary(NamedTuple):
    a: Tensor
    b: Tensor


class Packs(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Boundary:
        return Boundary(functional.dropout(a, training=self.training), b)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def picture() -> Tensor:
    return torch.ones(1, 3, 32, 32)
