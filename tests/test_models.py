"""Every network that is installed: the contract, the reference implementations, the stages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from support.twins import random_like
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Architecture, Stage
from zoo_core.chain import run_stages
from zoo_core.plugins.catalogue import catalogue
from zoo_core.testing import check_architecture

# the smallest pictures that a family takes, so that the deepest network is checked in seconds
SMALL = {
    "alexnet": (3, 64, 64),
    "efficientnet_lite": (3, 32, 32),
    "googlenet": (3, 32, 32),
    "inception": (3, 75, 75),
    "resnet": (3, 32, 32),
}
RESNETS = zoo.list_models("resnet")
INCEPTIONS = zoo.list_models("inception")
LITES = zoo.list_models("efficientnet_lite")


pytestmark = pytest.mark.usefixtures("one_thread")


def small(name: str) -> tuple[int, int, int]:
    info = zoo.info(name)
    return SMALL.get(info.architecture, info.input.size)


def pictures(name: str, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, *small(name)[1:], generator=generator)


def build(name: str, **config: Any) -> nn.Module:
    """What the plugin builds, before create() makes it zoo's."""
    info = zoo.info(name)
    options = {"num_classes": info.num_classes, "in_chans": info.input.size[0]}
    return catalogue().architecture(info).build(**options, **info.config, **config)


@torch.no_grad()
def scores(model: nn.Module, x: Tensor) -> Tensor:
    return model.eval()(x)


# --- the contract --------------------------------------------------------------------------------


# The deepest of a family, whose blocks are those of the others; and a variant of one module.
DEEPEST = {
    *("resnet101", "resnet101d", "resnet152", "resnet152d"),
    *("inception_v4", "inception_resnet_v2", "efficientnet_lite2"),
}
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=slow) if n in DEEPEST else n for n in zoo.list_models()],
)
def test_every_model_keeps_the_contract(name: str) -> None:
    check_architecture(name, size=small(name))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("googlenet", {"aux_heads": True}),
        pytest.param("googlenet", {"naive": True}, marks=slow),
        ("inception_v3", {"drop_rate": 0.2}),
        ("resnet26d", {"drop_rate": 0.2, "drop_path_rate": 0.2}),
        ("efficientnet_lite0", {"drop_rate": 0.2, "drop_path_rate": 0.2}),
    ],
    ids=str,
)
def test_every_option_keeps_the_contract(name: str, config: dict[str, Any]) -> None:
    check_architecture(name, size=small(name), **config)


@pytest.mark.parametrize(
    "name",
    ["lenet5", "alexnet", "googlenet", "inception_v3", "resnet18", "resnet26d", LITES[0]],
)
@pytest.mark.parametrize(("channels", "classes"), [(1, 7), (4, 0)])
def test_channels_and_classes(name: str, channels: int, classes: int) -> None:
    model = zoo.create(name, in_chans=channels, num_classes=classes).eval()
    x = pictures(name, channels)
    with torch.no_grad():
        features, out = model.forward_until(x, "head"), model(x)
    assert model.input.size[0] == channels
    assert out.shape == (features.shape if classes == 0 else (2, classes))
    assert classes or torch.equal(out, features)


# --- the reference implementations ---------------------------------------------------------------


def check_equal(name: str, reference: Callable[[], nn.Module], **config: Any) -> list[nn.Module]:
    """One state dict in both gives the same outputs, bit for bit; returns ours and theirs."""
    with torch.device("meta"):
        pair = [build(name, **config), reference()]
    state = {key: random_like(key, tensor) for key, tensor in pair[1].state_dict().items()}
    for module in pair:
        assert list(module.state_dict()) == list(state)
        module.load_state_dict(state, assign=True)
    ours, expected = (scores(module, pictures(name)) for module in pair)
    apart = (expected[0] - expected[1]).abs().mean()
    assert apart > 0.001 * expected.abs().mean()  # what is in the pictures does reach the scores
    assert torch.equal(ours, expected)
    return pair


@pytest.mark.parametrize("name", [*INCEPTIONS, *LITES, *RESNETS])
def test_it_is_timms(name: str) -> None:
    theirs_is = f"tf_{name}" if name in LITES else name
    ours, theirs = check_equal(name, lambda: timm.create_model(theirs_is))
    assert type(ours) is type(theirs)


def test_alexnet_is_torchvisions() -> None:
    check_equal("alexnet", torchvision.models.alexnet)


@pytest.mark.parametrize("init_weights", [True, False])
@pytest.mark.parametrize("aux", [True, False])
def test_googlenet_is_torchvisions(aux: bool, init_weights: bool) -> None:
    options = {"aux_logits": aux, "transform_input": False, "init_weights": init_weights}
    reference = functools.partial(torchvision.models.GoogLeNet, **options)
    ours, theirs = check_equal("googlenet", reference, aux_heads=aux)
    if aux:
        theirs.training = True  # itself, and no part of it: then it gives the scores of all three
        with torch.no_grad():
            found = ours.forward_with_aux(pictures("googlenet"))
            expected = theirs(pictures("googlenet"))
        assert torch.equal(found.logits, expected.logits)
        assert torch.equal(found.aux1, expected.aux_logits1)
        assert torch.equal(found.aux2, expected.aux_logits2)


@pytest.mark.parametrize("name", ["inception_v3", "resnet26d"])
def test_its_first_weights_are_drawn_as_timms(name: str) -> None:
    torch.manual_seed(3)
    expected = timm.create_model(name).state_dict()
    torch.manual_seed(3)
    found = zoo.create(name).state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


# --- stages --------------------------------------------------------------------------------------

INCEPTION = "stem inception_a inception_b inception_c pool head"
LITE = "stem block1 block2 block3 block4 block5 block6 block7 conv_head pool head"
STAGES = {
    "lenet5": "conv1 conv2 fc1 fc2 head",
    "alexnet": "conv1 conv2 conv3 conv4 conv5 pool fc6 fc7 head",
    "googlenet": "stem inception3 inception4 inception5 pool head",
    **dict.fromkeys(INCEPTIONS, INCEPTION),
    **dict.fromkeys(LITES, LITE),
    **dict.fromkeys(RESNETS, "stem layer1 layer2 layer3 layer4 pool head"),
}
# shapes of the tensors that leave the stages before the head, for a picture of the usual size
WIDE = [(64, 56, 56), (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7), (2048,)]
NARROW = [(64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7), (512,)]
BOUNDARIES = {
    "lenet5": [(6, 14, 14), (16, 5, 5), (120,), (84,)],
    "alexnet": [
        *((64, 27, 27), (192, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)),
        *((9216,), (4096,), (4096,)),
    ],
    "googlenet": [(192, 28, 28), (480, 14, 14), (832, 7, 7), (1024, 7, 7), (1024,)],
    "inception_v3": [(192, 35, 35), (288, 35, 35), (768, 17, 17), (2048, 8, 8), (2048,)],
    "inception_v4": [(384, 35, 35), (384, 35, 35), (1024, 17, 17), (1536, 8, 8), (1536,)],
    "inception_resnet_v2": [(192, 35, 35), (320, 35, 35), (1088, 17, 17), (1536, 8, 8), (1536,)],
    "efficientnet_lite0": [
        *((32, 112, 112), (16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14)),
        *((112, 14, 14), (192, 7, 7), (320, 7, 7), (1280, 7, 7), (1280,)),
    ],
    "efficientnet_lite1": [
        *((32, 120, 120), (16, 120, 120), (24, 60, 60), (40, 30, 30), (80, 15, 15)),
        *((112, 15, 15), (192, 8, 8), (320, 8, 8), (1280, 8, 8), (1280,)),
    ],
    "efficientnet_lite2": [
        *((32, 130, 130), (16, 130, 130), (24, 65, 65), (48, 33, 33), (88, 17, 17)),
        *((120, 17, 17), (208, 9, 9), (352, 9, 9), (1280, 9, 9), (1280,)),
    ],
    **dict.fromkeys(RESNETS, WIDE),
    **dict.fromkeys(["resnet18", "resnet18d", "resnet34", "resnet34d"], NARROW),
}


@functools.cache
def outline(name: str, **config: Any) -> tuple[nn.Module, list[Stage]]:
    """The network without values, and its stages."""
    with torch.device("meta"):
        module = build(name, **config).eval()
    return module, catalogue().architecture(zoo.info(name)).stages(module)


@pytest.mark.parametrize("name", STAGES)
def test_names_of_stages(name: str) -> None:
    _, stages = outline(name)
    assert " ".join(stage.name for stage in stages) == STAGES[name]


@pytest.mark.parametrize("name", BOUNDARIES)
def test_boundaries(name: str) -> None:
    module, stages = outline(name)
    size = (3, 224, 224) if name in RESNETS else zoo.info(name).input.size
    x = torch.empty(2, *size, device="meta")
    shapes = []
    for stage in stages[:-1]:
        x = run_stages(module, [stage], x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == BOUNDARIES[name]


@pytest.mark.parametrize("name", STAGES)
def test_the_head_owns_the_last_linear_layer_alone(name: str) -> None:
    module, stages = outline(name)
    layers = [path for path, part in module.named_modules() if stages[-1].has(path)]
    last = [path for path, part in module.named_modules() if isinstance(part, nn.Linear)][-1]
    assert layers == [last] == list(stages[-1].owns)
    assert module.get_submodule(last).in_features == BOUNDARIES[name][-1][0]


def toy(*, num_classes: int, in_chans: int) -> nn.Module:
    layers = [nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(4, num_classes))


def test_a_third_partys_head_may_list_what_has_no_parameters(
    offer: Callable[..., None], tmp_path: Path
) -> None:
    stages = [Stage("body", run=("0",)), Stage("head", run=("1", "2", "3", "4"))]
    offer('[models.toy]\narchitecture = "toy"\n', Architecture("toy", toy, lambda model: stages))
    path = tmp_path / "toy.safetensors"
    save_file(toy(num_classes=5, in_chans=3).state_dict(), path)
    assert zoo.create("toy", pretrained=path).num_outputs == 5
    model = zoo.create("toy", pretrained=path, num_classes=3)
    assert model.num_outputs == 3 and model(torch.zeros(2, 3, 8, 8)).shape == (2, 3)
    assert model.reset_head(0).num_outputs == 0 and model(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


# --- googlenet without its reductions ------------------------------------------------------------


def test_without_reductions_channels_only_grow() -> None:
    module, stages = outline("googlenet", naive=True)
    widths, x = [], torch.empty(1, 3, 224, 224, device="meta")
    for stage in stages[:-1]:
        x = run_stages(module, [stage], x)
        widths.append(x.shape[1])
    assert widths == sorted(widths) == [192, 832, 3344, 4944, 4944]
    reduced = outline("googlenet")[0]
    count = [sum(p.numel() for p in net.parameters()) for net in (reduced, module)]
    assert count == [6_624_904, 70_300_872]


# --- auxiliary heads -----------------------------------------------------------------------------


def timms_v3() -> nn.Module:
    return timm.create_model("inception_v3", aux_logits=True)


def torchvisions_v1() -> nn.Module:
    return torchvision.models.GoogLeNet(transform_input=False, init_weights=False)


@pytest.mark.parametrize(
    ("name", "reference", "prefixes"),
    [
        ("googlenet", torchvisions_v1, ("aux1.", "aux2.")),
        ("inception_v3", timms_v3, ("AuxLogits.",)),
    ],
)
def test_auxiliary_weights_are_dropped_by_name(
    name: str, reference: Callable[[], nn.Module], prefixes: tuple[str, ...], tmp_path: Path
) -> None:
    state = reference().state_dict()
    save_file(state, tmp_path / "aux.safetensors")
    model = zoo.create(name, pretrained=tmp_path / "aux.safetensors")
    auxiliary = {key for key in state if key.startswith(prefixes)}
    assert auxiliary and model.state_dict().keys() == state.keys() - auxiliary
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())

    unknown = {**state, "aux3.fc.weight": torch.zeros(1), "extra": torch.zeros(1)}
    save_file(unknown, tmp_path / "unknown.safetensors")
    with pytest.raises(zoo.WeightsError, match=r"has unknown aux3\.fc\.weight, extra\."):
        zoo.create(name, pretrained=tmp_path / "unknown.safetensors")


def test_auxiliary_heads_on_request_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "aux.safetensors"
    state = torchvisions_v1().state_dict()
    save_file(state, path)
    model = zoo.create("googlenet", pretrained=path, aux_heads=True)
    assert model.state_dict().keys() == state.keys()
    assert torch.equal(model.aux1.fc1.weight, state["aux1.fc1.weight"])
    save_file({key: t for key, t in state.items() if not key.startswith("aux")}, path)
    with pytest.raises(zoo.WeightsError, match=r"it lacks aux1\.conv\.conv\.weight"):
        zoo.create("googlenet", pretrained=path, aux_heads=True)


def test_auxiliary_scores_are_for_those_who_asked() -> None:
    x = pictures("googlenet")
    model = zoo.create("googlenet", aux_heads=True, num_classes=7)
    assert [tuple(s.shape) for s in model.forward_with_aux(x)] == [(2, 7)] * 3
    assert model.reset_head(4)(x).shape == (2, 4)
    assert [tuple(s.shape) for s in model.forward_with_aux(x)] == [(2, 4)] * 3
    with pytest.raises(ValueError, match="create it with aux_logits=True"):
        zoo.create("googlenet").forward_with_aux(x)


def test_auxiliary_heads_train_what_is_before_them() -> None:
    model = zoo.create("googlenet", aux_heads=True, num_classes=3)
    scores = model.forward_with_aux(pictures("googlenet"))
    (0.3 * scores.aux1.sum()).backward()
    reached = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert {"conv1", "inception4a", "aux1"} <= reached
    assert not {"inception4b", "aux2", "fc"} & reached
