"""Inception: GoogLeNet (v1, written here), v3, v4 and Inception-ResNet v2 (timm's classes)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn


@hookimpl
def zoo_architectures() -> list[Architecture]:
    return [
        Architecture(
            "googlenet",
            build_googlenet,
            googlenet_stages,
            summary="modules of parallel 1x1, 3x3 and pooled branches behind 1x1 reductions",
            paper="https://arxiv.org/abs/1409.4842",
            adapt=without_auxiliary_heads,
        ),
        Architecture(
            "inception",
            build_inception,
            inception_stages,
            summary="modules of factorised convolutions with batch norm and, in one, residuals",
            paper="https://arxiv.org/abs/1512.00567",
            adapt=without_auxiliary_heads,
            features=inception_features,
        ),
    ]


def build_googlenet(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    naive: bool = False,
    aux_logits: bool = False,
    drop_rate: float = 0.2,
    global_pool: str = "avg",
    aux_heads: bool = False,
    dropout: float | None = None,
) -> nn.Module:
    """`naive`: modules without 1x1 reductions. `aux_logits`: the paper's auxiliary classifiers.

    `drop_rate`: dropout before the head, in [0, 1). `global_pool`: avg, max, or "" for maps, with
    num_classes=0. `aux_heads`, `dropout`: older names of `aux_logits` and `drop_rate`.
    """
    from zoo_inception.googlenet import GoogLeNet

    if dropout is not None and drop_rate != 0.2:
        raise ValueError("drop_rate and dropout are one thing: give drop_rate alone")
    return GoogLeNet(
        num_classes=num_classes,
        in_chans=in_chans,
        naive=naive,
        aux_heads=aux_logits or aux_heads,
        dropout=drop_rate if dropout is None else dropout,
        global_pool=global_pool,
    )


def googlenet_stages(model: Any) -> list[Stage]:
    auxiliary = ("aux1", "aux2") if model.aux1 is not None else ()
    return [
        Stage("stem", run=("conv1", "maxpool1", "conv2", "conv3", "maxpool2")),
        Stage("inception3", run=("inception3a", "inception3b", "maxpool3")),
        Stage("inception4", run=(*(f"inception4{letter}" for letter in "abcde"), "maxpool4")),
        Stage("inception5", run=("inception5a", "inception5b")),
        Stage("pool", run=("avgpool", "flatten")),
        Stage("head", run=("dropout", "fc"), owns=("fc", *auxiliary)),
    ]


def build_inception(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    variant: str = "inception_v3",
    drop_rate: float = 0.0,
    global_pool: str = "avg",
    aux_logits: bool = False,
) -> nn.Module:
    """`drop_rate`: dropout before the head, in [0, 1). `global_pool`: avg, max, avgmax, catavgmax,
    or "" for maps, with num_classes=0. `aux_logits`: with Inception v3's auxiliary classifier, as
    `model.AuxLogits`; `forward` gives the scores of the last alone until `model.aux_logits = True`.
    """
    from zoo_timm.networks import network

    how: dict[str, Any] = {"drop_rate": drop_rate, "global_pool": global_pool}
    if aux_logits:
        how["aux_logits"] = True
    model: Any = network(variant, num_classes=num_classes, in_chans=in_chans, **how)
    if type(model).__name__ not in _INCEPTION:
        raise ValueError(f"{variant} is no Inception network: create timm/{variant}")
    if aux_logits:
        model.aux_logits = False  # every loop can train what gives one tensor
    return model


def inception_features(model: Any, config: dict[str, Any], how: dict[str, Any]) -> nn.Module:
    """timm's network of features, with the weights of the model."""
    from zoo_timm.networks import features_of

    return features_of(model, config, how)


def inception_stages(model: Any) -> list[Stage]:
    listed = _INCEPTION[type(model).__name__]
    if getattr(model, "AuxLogits", None) is None:
        return listed
    return [*listed[:-1], replace(listed[-1], owns=("fc", "AuxLogits"))]


def without_auxiliary_heads(tensors: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Drop the auxiliary heads of a checkpoint, by name, where the model was built without them."""
    if any(getattr(model, name, None) is not None for name in ("aux1", "AuxLogits")):
        return tensors
    prefixes = ("aux1.", "aux2.", "AuxLogits.")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(prefixes)}


def _features(start: int, stop: int) -> tuple[str, ...]:
    return tuple(f"features.{i}" for i in range(start, stop))


_V3_STEM = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Pool1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "Pool2"),
)
_RESNET_V2_STEM = (
    *("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a"),
    *("conv2d_3b", "conv2d_4a", "maxpool_5a"),
)

# a, b, c: the papers' letters for the modules at three resolutions, each led by its reduction
_INCEPTION = {
    "InceptionV3": [
        Stage("stem", run=_V3_STEM),
        Stage("inception_a", run=("Mixed_5b", "Mixed_5c", "Mixed_5d")),
        Stage("inception_b", run=tuple(f"Mixed_6{letter}" for letter in "abcde")),
        Stage("inception_c", run=("Mixed_7a", "Mixed_7b", "Mixed_7c")),
        Stage("pool", run=("global_pool",)),
        Stage("head", run=("head_drop", "fc"), owns=("fc",)),
    ],
    "InceptionV4": [
        Stage("stem", run=_features(0, 6)),
        Stage("inception_a", run=_features(6, 10)),
        Stage("inception_b", run=_features(10, 18)),
        Stage("inception_c", run=_features(18, 22)),
        Stage("pool", run=("global_pool",)),
        Stage("head", run=("head_drop", "last_linear"), owns=("last_linear",)),
    ],
    "InceptionResnetV2": [
        Stage("stem", run=_RESNET_V2_STEM),
        Stage("inception_a", run=("mixed_5b", "repeat")),
        Stage("inception_b", run=("mixed_6a", "repeat_1")),
        Stage("inception_c", run=("mixed_7a", "repeat_2", "block8", "conv2d_7b")),
        Stage("pool", run=("global_pool",)),
        Stage("head", run=("head_drop", "classif"), owns=("classif",)),
    ],
}
