"""create(): equal to a plain twin made by other code, tensor by tensor and in its outputs."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.model_fixtures import Files
from support.twins import MODELS, WITH_AUX, assert_equal, mapped, twin
from torch import nn

import zoo_core as zoo
from zoo_lenet.lenet import LeNet5

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

# --- equal to the plain twin ---------------------------------------------------------------------

LENET5 = list(
    itertools.product(
        (None, 10, 5, 0), (None, 1, 3, 4, 6), (None, "float16", torch.bfloat16, "float64")
    )
)


@pytest.mark.parametrize(("num_classes", "in_chans", "dtype"), LENET5)
def test_lenet5_equals_its_plain_twin(weights_of: Files, num_classes, in_chans, dtype):
    given = {"num_classes": num_classes, "in_chans": in_chans}
    torch.manual_seed(1)
    model = zoo.create("lenet5", pretrained=weights_of("lenet5"), dtype=dtype, **given)
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype or torch.float32
    other = twin("lenet5", weights_of("lenet5"), dtype=kind, **given)
    assert_equal(model, other, in_chans or 1, 32)
    assert model.input.size == (in_chans or 1, 32, 32)
    assert model.num_outputs == (10 if num_classes is None else num_classes)


VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "alexnet": ({"num_classes": 3, "in_chans": 1},),
    "googlenet": ({}, {"num_classes": 0, "in_chans": 1}, {"dtype": torch.bfloat16}),
    "resnet18": ({"num_classes": 1000}, {"in_chans": 6}, {"dtype": torch.float64, "in_chans": 1}),
    "resnet50d": ({"num_classes": 7, "in_chans": 4},),
    "inception_v3": ({"num_classes": 7, "in_chans": 1},),
    "inception_v4": ({"num_classes": 0, "in_chans": 6},),
    "inception_resnet_v2": ({"num_classes": 5},),
}


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name, many in VARIANTS.items() for given in many]
)
def test_every_family_equals_its_plain_twin(weights_of: Files, name, given):
    torch.manual_seed(1)
    model = zoo.create(name, pretrained=weights_of(name), **given)
    other = twin(name, weights_of(name), **given)
    assert_equal(model, other, given.get("in_chans", 3), MODELS[name][3])


def test_weights_of_half_the_size_fit_too(weights_of: Files, tmp_path):
    tensors = load_file(weights_of("resnet18"))
    halves = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    save_file(halves, tmp_path / "half.safetensors")
    whole = zoo.create("resnet18", pretrained=tmp_path / "half.safetensors")
    assert_equal(whole, twin("resnet18", tmp_path / "half.safetensors"), 3, 64)
    half = zoo.create("resnet18", pretrained=tmp_path / "half.safetensors", dtype="float16")
    assert mapped(tmp_path / "half.safetensors", half.conv1.weight)  # neither cast nor copied


def test_weights_of_other_channels_than_the_models(weights_of: Files, tmp_path):
    """A file of one's own, of one channel: its own first convolution is what is adapted."""
    tensors = load_file(weights_of("resnet18"))
    grey = {**tensors, "conv1.weight": tensors["conv1.weight"][:, :1].contiguous()}
    save_file(grey, tmp_path / "grey.safetensors")
    for channels in (1, 4):
        model = zoo.create("resnet18", pretrained=tmp_path / "grey.safetensors", in_chans=channels)
        weight = model.conv1.weight
        assert torch.equal(weight, grey["conv1.weight"].repeat(1, channels, 1, 1) * (1 / channels))
    with pytest.raises(zoo.WeightsError, match=r"conv1.weight is \[64, 1, 7, 7\], the model has"):
        zoo.create("resnet18", pretrained=tmp_path / "grey.safetensors")


def test_weights_of_other_classes_than_the_models(weights_of: Files, tmp_path):
    tensors = load_file(weights_of("resnet18"))
    five = {**tensors, "fc.weight": tensors["fc.weight"][:5], "fc.bias": tensors["fc.bias"][:5]}
    save_file(five, tmp_path / "five.safetensors")
    model = zoo.create("resnet18", pretrained=tmp_path / "five.safetensors")
    assert model.num_outputs == model.origin.num_classes == 5
    assert torch.equal(model.fc.weight, five["fc.weight"])
    again = zoo.create("resnet18", pretrained=tmp_path / "five.safetensors", num_classes=6)
    assert again.num_outputs == 6 and model.num_classes == 5  # timm's own record


def test_auxiliary_heads_come_only_when_asked_for(weights_of: Files):
    path = weights_of("googlenet+aux")
    both = WITH_AUX()
    both.load_state_dict(load_file(path))
    model = zoo.create("googlenet", pretrained=path, aux_heads=True)
    ours, theirs = model.state_dict(), both.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    dropped = {name for name in theirs if name.startswith(("aux1.", "aux2."))}
    assert set(theirs) - set(zoo.create("googlenet", pretrained=path).state_dict()) == dropped
    new = zoo.create("googlenet", pretrained=path, aux_heads=True, num_classes=4)
    assert (new.fc.out_features, new.aux1.fc2.out_features, new.aux2.fc2.out_features) == (4, 4, 4)
    with pytest.raises(zoo.WeightsError, match="lacks aux1"):
        zoo.create("googlenet", pretrained=weights_of("googlenet"), aux_heads=True)


def test_channels_change_the_transforms_too():
    picture = Image.effect_noise((40, 40), 80).convert("RGB")
    for channels, mean in ((1, (0.449,)), (4, (0.485, 0.456, 0.406, 0.485))):
        model = zoo.create("resnet18", in_chans=channels)
        assert (
            model.input.mean == pytest.approx(mean, abs=1e-3) and len(model.input.std) == channels
        )
        assert model.transform()(picture).shape == (channels, 224, 224)
        assert model(model.transform(train=True)(picture)[None]).shape == (1, 1000)
    digits = zoo.create("lenet5", pretrained=True, in_chans=3)
    assert digits.input.mean == (0.1307,) * 3 and digits.transform()(picture).shape == (3, 32, 32)


def test_freeze_until_and_device_are_as_if_called_after():
    model = zoo.create("lenet5", pretrained=True, freeze_until="fc1", device=torch.device("cpu"))
    assert model.frozen == ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")
    other = zoo.create("lenet5", device="cpu:0", num_classes=3, freeze_until="head")
    assert other.head.weight.requires_grad and other.head.weight.device == torch.device("cpu")
    assert not other.fc2.weight.requires_grad


def test_weights_train_whoever_created_them(weights_of: Files):
    for pretrained in (False, weights_of("resnet18")):
        model = zoo.create("resnet18", pretrained=pretrained)
        assert all(p.requires_grad and p.is_leaf for p in model.parameters())
        assert all(isinstance(p, nn.Parameter) for p in model.parameters())
        assert model.training  # as torch and timm leave a new module


def test_torch_s_default_dtype_is_followed():
    torch.set_default_dtype(torch.float64)
    try:
        for pretrained in (True, False):
            model = zoo.create("lenet5", pretrained=pretrained, num_classes=3)
            assert {p.dtype for p in model.parameters()} == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)


# --- random numbers ------------------------------------------------------------------------------


def test_one_seed_gives_one_new_head_in_every_type_and_on_every_path():
    heads = []
    for given in ({"pretrained": True}, {"pretrained": True, "dtype": "float64"}, {"in_chans": 3}):
        model = zoo.create("lenet5", **given)
        torch.manual_seed(4)
        model.reset_head(6)
        heads.append(model.head)
    torch.manual_seed(4)
    plain = nn.Linear(84, 6)
    for head in heads:
        assert torch.equal(head.weight.float(), plain.weight) and head.weight.std() > 0.01
        assert torch.equal(head.bias.float(), plain.bias)


def test_pretrained_weights_draw_no_random_number(weights_of: Files):
    def states() -> tuple:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = states()
    for name in ("lenet5", "resnet18", "googlenet", "inception_v3"):
        zoo.create(name, pretrained=weights_of(name), in_chans=2)
        zoo.create(name, pretrained=weights_of(name), num_classes=0)
    assert states() == before
    zoo.create("lenet5", pretrained=True, num_classes=3)
    assert states() != before


def test_weightless_models_are_drawn_from_the_global_seed():
    torch.manual_seed(8)
    model = zoo.create("lenet5", num_classes=4)
    torch.manual_seed(8)
    assert_equal(model, LeNet5(num_classes=4), 1, 32)


def test_the_fast_path_maps_the_file(weights_of: Files):
    for name in ("lenet5", "resnet18", "googlenet", "inception_v3"):
        model = zoo.create(name, pretrained=weights_of(name))
        tensors = model.state_dict().values()
        assert mapped(weights_of(name), *(tensor for tensor in tensors if tensor.ndim == 4))
