"""LeNet-5, the network that read bank cheques: LeCun, Bottou, Bengio and Haffner, 1998."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    import click
    from torch import nn

PAPER = "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf"


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = "two convolutions with pooling and three fully connected layers, for 32x32 digits"
    return [Architecture("lenet", build, stages, summary=summary, paper=PAPER)]


@hookimpl
def zoo_commands(group: click.Group) -> None:
    from zoo_lenet.command import demo

    group.add_command(demo)


def build(*, num_classes: int = 10, in_chans: int = 1, drop_rate: float = 0.0) -> nn.Module:
    """`drop_rate`: dropout before the head, in [0, 1)."""
    from zoo_lenet.lenet import LeNet5

    if not 0 <= drop_rate < 1:
        raise ValueError(f"drop_rate must be in [0, 1): {drop_rate}")
    return LeNet5(num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)


def stages(model: Any) -> list[Stage]:
    dropped = ("head_drop",) if model.head_drop is not None else ()
    return [
        Stage("conv1", run=("conv1", "act1", "pool1")),
        Stage("conv2", run=("conv2", "act2", "pool2")),
        Stage("fc1", run=("flatten", "fc1", "act3")),
        Stage("fc2", run=("fc2", "act4")),
        Stage("head", run=(*dropped, "head"), owns=("head",)),
    ]
