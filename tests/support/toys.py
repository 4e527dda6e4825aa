"""Small architectures for tests of training, with a stage that does what the test is about."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from zoo_core import Stage

MANIFEST = """
[models.toy]
architecture = "toy"
input = { size = [3, 8, 8], mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
"""

Step = Callable[[nn.Module, Tensor], Tensor]


class Toy(nn.Module):
    """A convolution that is frozen in the tests, batch norm, and a head."""

    def __init__(self, num_classes: int, in_chans: int, *, conv_head: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, 4, 3)
        self.register_buffer("scale", torch.ones(1), persistent=False)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Conv2d(4, num_classes, 1) if conv_head else nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError  # each toy has its own


def scaled(model: nn.Module, x: Tensor) -> Tensor:
    return x * model.scale


def with_dropout(model: nn.Module, x: Tensor) -> Tensor:
    return functional.dropout(x, 0.5, model.training)


def with_noise(model: nn.Module, x: Tensor) -> Tensor:
    return x + 0.1 * torch.rand_like(x)


def centred(model: nn.Module, x: Tensor) -> Tensor:
    """Each picture depends on its batch."""
    return x - x.mean(0)


def by_mode(model: nn.Module, x: Tensor) -> Tensor:
    return 2 * x if model.training else x


def channels_last(model: nn.Module, x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def means(model: nn.Module, x: Tensor) -> Tensor:
    return x.mean((2, 3))


def last_means(model: nn.Module, x: Tensor) -> Tensor:
    return x.mean((2, 3))


def toy(step: Step = scaled, *, conv_head: bool = False) -> zoo.Architecture:
    """`step` is the last thing that the first stage does."""
    head: tuple[str | Step, ...] = ("fc", last_means) if conv_head else (means, "fc")
    stages = [
        Stage("conv", run=("conv", step), owns=("conv", "scale")),
        Stage("norm", run=("norm",)),
        Stage("head", run=head, owns=("fc",)),
    ]

    class Stepping(Toy):
        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(step(self, self.conv(x)))
            return self.fc(x).mean((2, 3)) if conv_head else self.fc(x.mean((2, 3)))

    def build(*, num_classes: int = 3, in_chans: int = 3) -> nn.Module:
        return Stepping(num_classes, in_chans, conv_head=conv_head)

    return zoo.Architecture("toy", build, lambda model: stages)
