"""Residual Attention Network (Wang et al., 2017).  https://arxiv.org/abs/1704.06904"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core import Architecture, Stage, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1704.06904"


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = "residual blocks, each followed by modules that weigh places and channels"
    return [Architecture("residual_attention", build, stages, summary=summary, paper=PAPER)]


@hookimpl
def zoo_manifests() -> list[Path]:
    return [Path(__file__).parent / "registry.toml"]


def build(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    modules: tuple[int, ...] = (1, 1, 1),
    width: int = 64,
    small_pictures: bool = False,
) -> nn.Module:
    from zoo_residual_attention.model import ResidualAttentionNet

    return ResidualAttentionNet(
        num_classes, in_chans, modules=modules, width=width, small_pictures=small_pictures
    )


def stages(model: nn.Module) -> list[Stage]:
    return [
        Stage("stem", run=("stem",)),
        Stage("layer1", run=("layer1",)),
        Stage("layer2", run=("layer2",)),
        Stage("layer3", run=("layer3",)),
        Stage("layer4", run=("layer4",)),
        Stage("pool", run=("pool",)),
        Stage("head", run=("head",)),
    ]
