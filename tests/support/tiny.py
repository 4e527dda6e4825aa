"""A network that keeps every rule of stages, to be spoilt one rule at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from zoo_core import Architecture, Stage

SIZE = (3, 12, 12)


class Tiny(nn.Module):
    """Two convolutions, batch norm and a linear layer: a network that keeps every rule."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.act(self.norm(self.conv1(x))))
        return self.fc(self.dropout(self.flatten(self.pool(x))))


STAGES = (
    Stage("stem", run=("conv1", "norm", "act")),
    Stage("body", run=("conv2",)),
    Stage("pool", run=("pool", "flatten")),
    Stage("head", run=("dropout", "fc")),
)


def changed(*others: Stage, rename: str | None = None) -> tuple[Stage, ...]:
    """The stages with some of them replaced by those of the same name; `rename`: the last one."""
    new = {stage.name: stage for stage in others}
    stages = [new.get(stage.name, stage) for stage in STAGES]
    if rename:
        stages[-1] = Stage(rename, run=stages[-1].run)
    return tuple(stages)


def architecture(
    network: Callable[[int, int], nn.Module] = Tiny, stages: Sequence[Stage] = STAGES
) -> Architecture:
    def build(*, num_classes: int, in_chans: int) -> nn.Module:
        return network(num_classes, in_chans)

    return Architecture("tiny", build, lambda model: list(stages))
