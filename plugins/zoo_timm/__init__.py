"""Every network of timm that classifies pictures, as `timm/<name>`: timm's classes and weights.

What there is stands in `models.json`, so that listing needs no timm: `python -m zoo_timm.generate`
writes it again for the timm that is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = "one of timm's networks, with stages from its own structure"
    paper = "https://github.com/huggingface/pytorch-image-models"
    how: Any = {"adapt": adapt, "features": features}
    return [Architecture("timm", build, stages, summary=summary, paper=paper, **how)]


@hookimpl
def zoo_manifests() -> list[Path]:
    return [Path(__file__).parent / "models.json"]


def build(
    *,
    variant: str,
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
    img_size: int | list[int] | None = None,
    global_pool: str | None = None,
) -> nn.Module:
    """By default all is as timm has it for the network.

    `drop_rate`: dropout before the head; `drop_path_rate`: stochastic depth, both in [0, 1).
    `img_size`: the side of the pictures, or height and width; positions in weights are resampled.
    `global_pool`: how features are pooled, such as avg, max or token.
    """
    from zoo_timm.networks import network, rates

    drop = rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
    how = {**drop, "img_size": img_size, "global_pool": global_pool}
    return network(variant, num_classes=num_classes, in_chans=in_chans, **how)


def stages(model: Any) -> list[Stage]:
    from zoo_timm.chains import stages as stages_of

    return stages_of(model)


def adapt(tensors: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Checkpoints in a layout of before timm's, by the function that timm has for its class."""
    from zoo_timm.networks import in_timms_layout

    return in_timms_layout(tensors, model)


def features(model: Any, config: dict[str, Any], how: dict[str, Any]) -> nn.Module:
    """timm's network of features of the same class, with the weights of the model."""
    from zoo_timm.networks import features_of

    return features_of(model, config, how)
