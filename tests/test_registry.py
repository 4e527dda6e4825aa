"""registry.toml against the models that it describes: every figure is counted again."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from zoo_core.plugins.catalogue import Catalogue, catalogue, official_manifest
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manifest import read_manifest
from zoo_core.types import ModelInfo, WeightsInfo

MODELS = read_manifest(official_manifest())
WEIGHTS = [(model, weights) for model in MODELS for weights in model.weights.values()]

# tag of the default weights, and their top-1 accuracy on ImageNet as the publishers state it
DEFAULTS = {
    "alexnet": ("imagenet1k_v1", 56.522),
    "efficientnet_lite0": ("in1k", 74.846),
    "efficientnet_lite1": ("in1k", 76.674),
    "efficientnet_lite2": ("in1k", 77.470),
    "googlenet": ("imagenet1k_v1", 69.778),
    "inception_v3": ("tv_in1k", 77.472),
    "inception_v4": ("tf_in1k", 80.144),
    "inception_resnet_v2": ("tf_in1k", 80.434),
    "resnet18": ("a1_in1k", 71.504),
    "resnet18d": ("ra4_e3600_r224_in1k", 74.356),
    "resnet26": ("bt_in1k", 75.298),
    "resnet26d": ("bt_in1k", 76.698),
    "resnet34": ("a1_in1k", 76.420),
    "resnet34d": ("ra2_in1k", 77.108),
    "resnet50": ("a1_in1k", 80.382),
    "resnet50d": ("ra2_in1k", 80.546),
    "resnet101": ("a1_in1k", 81.494),
    "resnet101d": ("ra2_in1k", 82.254),
    "resnet152": ("a1_in1k", 81.998),
    "resnet152d": ("ra2_in1k", 83.160),
}
PINNED = {
    "alexnet.imagenet1k_v1": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "googlenet.imagenet1k_v1": "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef",
    "inception_v3.tv_in1k": "9c452c63a67fd03a38a78c401ba12d4be0e926df63c93403de3a29f6df20fefb",
    "inception_v4.tf_in1k": "a756a086851c8d5a8de135ec15c76b90ea56cb5aef450e3299107e659e725bb1",
    "inception_resnet_v2.tf_in1k": "dbea26b13a5fc8351919fed6a94222c0577ce324b2765fd081a798f837ca9d72",  # noqa: E501
    "resnet18.a1_in1k": "80c49dee3da4822c009c5a7fe591e9223c5a2cfcf95a4067ca4dfb5a7b89c612",
    "resnet34.a1_in1k": "829a220f9529d2b1ffdc8719d3273463001e0daf411eaf1916865d9db62c0ed2",
    "resnet50.a1_in1k": "773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
    "resnet101d.ra2_in1k": "c2192596da2e8d652cbf0465b8694704247b524efb68ed194504af453830709c",
}
LICENCES = {"apache-2.0", "bsd-3-clause", "mit", "cc-by-nc-4.0"}
LABEL_SETS = {"imagenet-1k"}
HUB = re.compile(r"hf://[\w-]+/(?P<repository>[\w.-]+)(@[0-9a-f]{40})?/model\.safetensors")
HTTPS = re.compile(r"https://download\.pytorch\.org/models/[\w-]+-(?P<start>[0-9a-f]{8})\.pth")
PACKAGE = re.compile(r"pkg://zoo_\w+/weights/[\w.]+\.safetensors")
CARRIED = re.compile(r"pkg://\w+_pytorch_model/models/[\w-]+-(?P<start>[0-9a-f]{8})\.pth")


def reference(value: object) -> str:
    if isinstance(value, ModelInfo):
        return value.name
    return value.tag if isinstance(value, WeightsInfo) else str(value)


def test_the_official_models() -> None:
    resnets = [f"resnet{depth}{form}" for depth in (18, 26, 34, 50, 101, 152) for form in ("", "d")]
    inceptions = ["inception_resnet_v2", "inception_v3", "inception_v4"]
    lites = [f"efficientnet_lite{size}" for size in range(3)]
    expected = {"alexnet", "googlenet", "lenet5", *inceptions, *lites, *resnets}
    names = [model.name for model in MODELS]
    assert set(names) == expected
    assert len(names) == len(expected)


def built(model: ModelInfo, **given: bool) -> nn.Module:
    config = {**model.config, **given}
    build = catalogue().architecture(model).build
    with torch.device("meta"):
        return build(num_classes=model.num_classes, in_chans=model.input.size[0], **config).eval()


def multiply_adds(module: nn.Module, size: tuple[int, int, int]) -> float:
    """Those of one picture, in billions."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, *size, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize("model", MODELS, ids=reference)
def test_parameters_and_multiply_adds(model: ModelInfo) -> None:
    module = built(model)
    assert model.params == sum(parameter.numel() for parameter in module.parameters())
    counted = multiply_adds(module, model.input.size)
    digits = max(2, len(f"{model.gmacs:f}".rstrip("0").partition(".")[2]))
    assert model.gmacs == pytest.approx(counted, abs=0.51 * 10**-digits)


def test_multiply_adds_of_weights_for_other_pictures() -> None:
    """timm's count, which has some layers more than ours; all such weights have one."""
    for model, weights in WEIGHTS:
        assert (weights.gmacs is None) == (weights.input.size == model.input.size)
        if weights.gmacs is not None:
            counted = multiply_adds(built(model), weights.input.size)
            assert weights.gmacs == pytest.approx(counted, rel=0.015)


def test_what_the_reductions_of_googlenet_save() -> None:
    """The figures of its summary, from the two builds."""
    model = catalogue().find("googlenet").model
    found = {}
    for naive in (False, True):
        module = built(model, naive=naive)
        params = sum(parameter.numel() for parameter in module.parameters()) / 1e6
        found[naive] = params, multiply_adds(module, model.input.size)
    (params, macs), (naive_params, naive_macs) = found[False], found[True]
    assert f"{1 - params / naive_params:.0%} of the parameters" in model.summary
    assert f"({params:.1f} M of {naive_params:.1f} M)" in model.summary
    assert f"{1 - macs / naive_macs:.0%} of the multiply-adds" in model.summary
    assert f"({macs:.2f} G of {naive_macs:.2f} G)" in model.summary


@pytest.mark.parametrize("model", MODELS, ids=reference)
def test_facts_of_a_model(model: ModelInfo) -> None:
    assert model.summary
    assert model.paper is not None
    assert model.paper.startswith(("https://", "http://"))
    assert model.default_weights is not None
    assert model.default_weights.license in LICENCES - {"cc-by-nc-4.0"}
    assert model.input == model.default_weights.input


@pytest.mark.parametrize(("model", "weights"), WEIGHTS, ids=reference)
def test_facts_of_weights(model: ModelInfo, weights: WeightsInfo) -> None:
    assert weights.license in LICENCES
    assert isinstance(weights.labels, tuple) or weights.labels in LABEL_SETS
    assert weights.metrics
    for name, value in weights.metrics.items():
        assert re.fullmatch(r"[a-z0-9-]+\.top[15]", name)
        assert 50 < value <= 100
    first, fifth = (weights.metrics.get(f"imagenet-1k.{top}") for top in ("top1", "top5"))
    assert (first is None) == (fifth is None)
    assert first is None or fifth is None or first < fifth


@pytest.mark.parametrize(("model", "weights"), WEIGHTS, ids=reference)
def test_sources(model: ModelInfo, weights: WeightsInfo) -> None:
    hub, https = HUB.fullmatch(weights.source), HTTPS.fullmatch(weights.source)
    carried = CARRIED.fullmatch(weights.source)
    assert hub or https or carried or PACKAGE.fullmatch(weights.source)
    assert (weights.install is None) == (carried is None)
    if hub:
        assert hub["repository"] == f"{model.name}.{weights.tag}"
    named = https or carried
    if named:  # file names that hold the beginning of their hash
        assert weights.sha256 is not None
        assert weights.sha256.startswith(named["start"])


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    weights = catalogue().find(name).model.default_weights
    assert weights is not None
    assert (weights.tag, weights.metrics["imagenet-1k.top1"]) == DEFAULTS[name]


@pytest.mark.parametrize("name", PINNED)
def test_pinned_hashes(name: str) -> None:
    weights = catalogue().find(name).weights
    assert weights is not None
    assert weights.sha256 == PINNED[name]


def test_googlenet_sees_what_its_weights_were_trained_with() -> None:
    """torchvision builds it with transform_input, which is this mean and std."""
    spec = catalogue().find("googlenet").model.input
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)


def test_one_default_model_in_each_family() -> None:
    families = {model.architecture for model in MODELS}
    defaults = [model.architecture for model in MODELS if model.default]
    assert sorted(defaults) == sorted(families)
    assert catalogue().find("resnet").model.name == "resnet50"


def test_every_model_has_an_official_architecture() -> None:
    known = Catalogue(load_plugins(only=[]))
    assert all(known.architecture(model).name == model.architecture for model in MODELS)
