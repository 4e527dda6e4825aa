"""EfficientNet-Lite, networks for small devices: Liu, 2020, after Tan and Le, 2019.

timm's classes. Ordinary packages carry its ImageNet weights, in the layout of another port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/1905.11946"


@hookimpl
def zoo_architectures() -> list[Architecture]:
    summary = (
        "inverted residual blocks, width, depth and picture scaled together, for small devices"
    )
    how: Any = {"paper": PAPER, "adapt": adapt, "features": features}
    return [Architecture("efficientnet_lite", build, stages, summary=summary, **how)]


def build(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    variant: str = "tf_efficientnet_lite0",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    global_pool: str = "avg",
) -> nn.Module:
    """`drop_rate`: dropout before the head; `drop_path_rate`: stochastic depth. Both in [0, 1).

    `global_pool`: avg, max, avgmax, catavgmax, or "" for maps, with num_classes=0.
    """
    from zoo_timm.networks import network, rates

    drop = rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
    if not variant.startswith("tf_efficientnet_lite"):
        raise ValueError(f"{variant} is no EfficientNet-Lite: create timm/{variant}")
    how = {**drop, "global_pool": global_pool}
    return network(variant, num_classes=num_classes, in_chans=in_chans, **how)


def stages(model: Any) -> list[Stage]:
    """Those of `timm/tf_efficientnet_lite0`: stem, seven groups of blocks, pool, head."""
    from zoo_timm.chains import stages as stages_of

    return stages_of(model)


def adapt(tensors: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """A checkpoint of the port that the packages carry, under timm's names."""
    from zoo_efficientnet_lite.names import in_timms_names

    return in_timms_names(tensors, model)


def features(model: Any, config: dict[str, Any], how: dict[str, Any]) -> nn.Module:
    """timm's network of features, with the weights of the model."""
    from zoo_timm.networks import features_of

    return features_of(model, config, how)
