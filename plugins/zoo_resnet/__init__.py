"""Residual networks (He, Zhang, Ren and Sun, 2015); timm's classes.

The `d` forms are those of He et al., 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/1512.03385"


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = "blocks that add to their input what they compute, so that very deep networks train"
    how: Any = {"paper": PAPER, "features": features}
    return [Architecture("resnet", build, stages, summary=summary, **how)]


def build(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    variant: str = "resnet50",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    global_pool: str = "avg",
) -> nn.Module:
    """`drop_rate`: dropout before the head; `drop_path_rate`: stochastic depth. Both in [0, 1).

    `global_pool`: avg, max, avgmax, catavgmax, or "" for maps, with num_classes=0.
    """
    from timm.models import ResNet

    from zoo_timm.networks import network, rates

    drop = rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
    model = network(
        variant, num_classes=num_classes, in_chans=in_chans, **drop, global_pool=global_pool
    )
    if not isinstance(model, ResNet):
        raise ValueError(f"{variant} is no residual network: create timm/{variant}")
    return model


def features(model: Any, config: dict[str, Any], how: dict[str, Any]) -> nn.Module:
    """timm's network of features, with the weights of the model."""
    from zoo_timm.networks import features_of

    return features_of(model, config, how)


def stages(model: nn.Module) -> list[Stage]:
    return [
        Stage("stem", run=("conv1", "bn1", "act1", "maxpool")),
        Stage("layer1", run=("layer1",)),
        Stage("layer2", run=("layer2",)),
        Stage("layer3", run=("layer3",)),
        Stage("layer4", run=("layer4",)),
        Stage("pool", run=("global_pool",)),
        Stage("head", run=(classify,), owns=("fc",)),
    ]


def classify(model: Any, x: Tensor) -> Tensor:
    """Dropout as timm's ResNet does it, by function and not by module, then the linear layer."""
    from torch.nn import functional

    if model.drop_rate:
        x = functional.dropout(x, p=float(model.drop_rate), training=model.training)
    return model.fc(x)
