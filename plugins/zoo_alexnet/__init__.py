"""AlexNet, which won ImageNet in 2012 (Krizhevsky, Sutskever, Hinton), in one tower as of 2014."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1404.5997"


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = "five convolutions and three fully connected layers, with ReLU and dropout"
    return [Architecture("alexnet", build, stages, summary=summary, paper=PAPER)]


def build(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_rate: float = 0.5,
    dropout: float | None = None,
) -> nn.Module:
    """`drop_rate`: dropout before fc6 and fc7, in [0, 1]. `dropout`: its older name."""
    from zoo_alexnet.alexnet import AlexNet

    if dropout is not None and drop_rate != 0.5:
        raise ValueError("drop_rate and dropout are one thing: give drop_rate alone")
    rate = drop_rate if dropout is None else dropout
    return AlexNet(num_classes=num_classes, in_chans=in_chans, dropout=rate)


def stages(model: nn.Module) -> list[Stage]:
    return [
        Stage("conv1", run=("features.0", "features.1", "features.2")),
        Stage("conv2", run=("features.3", "features.4", "features.5")),
        Stage("conv3", run=("features.6", "features.7")),
        Stage("conv4", run=("features.8", "features.9")),
        Stage("conv5", run=("features.10", "features.11", "features.12")),
        Stage("pool", run=("avgpool", "flatten")),
        # dropout thins the inputs of the layer that follows it, so it belongs with that layer
        Stage("fc6", run=("classifier.0", "classifier.1", "classifier.2")),
        Stage("fc7", run=("classifier.3", "classifier.4", "classifier.5")),
        Stage("head", run=("classifier.6",)),
    ]
