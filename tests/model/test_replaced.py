"""A head, or a first convolution, that was put there by other means than zoo's is noticed."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import zoo_core as zoo
from zoo_core.model import ZooModel, pretrained_part
from zoo_core.model.facts import scores_are_of_a_layer

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

NAMES = ("cat", "dog", "cow")


def trained(name: str = "timm/test_resnet") -> ZooModel:
    """A model whose head somebody trained, with labels."""
    model = zoo.create(name).reset_head(3, labels=NAMES)
    model.origin = replace(model.origin, new_head=False, trained=True)
    return model


def by_hand(model: ZooModel, classes: int) -> None:
    model.fc = nn.Linear(model.fc.in_features, classes)


def by_several_layers(model: ZooModel, classes: int) -> None:
    wide = model.fc.in_features
    model.fc = nn.Sequential(nn.Dropout(), nn.Linear(wide, 9), nn.ReLU(), nn.Linear(9, classes))


def by_other_tensors(model: ZooModel, classes: int) -> None:
    model.fc.weight = nn.Parameter(torch.zeros(classes, model.fc.in_features))
    model.fc.bias, model.fc.out_features = nn.Parameter(torch.zeros(classes)), classes


def by_timm(model: ZooModel, classes: int) -> None:
    model.reset_classifier(classes)


def by_anothers(model: ZooModel, classes: int) -> None:
    model.fc = trained().reset_head(classes).fc


@pytest.mark.parametrize(
    ("how", "classes"),
    [
        *((how, classes) for how in (by_hand, by_timm) for classes in (2, 3, 5)),
        *((by_several_layers, 3), (by_anothers, 3), (by_other_tensors, 5)),
    ],
)
def test_facts_are_those_of_the_head_that_is_there(
    how: Callable[[ZooModel, int], None], classes: int, tmp_path: Path
) -> None:
    model = trained()
    assert "fc.weight" in pretrained_part(model)
    how(model, classes)
    assert (model.labels, model.num_outputs, model.multilabel) == (None, classes, False)
    assert (model.origin.num_classes, model.origin.new_head) == (classes, True)
    assert not [name for name in pretrained_part(model) if name.startswith("fc.")]
    assert "layer4.0.conv1.weight" in pretrained_part(model)
    picture = Image.new("RGB", (32, 32))
    found = zoo.predict(model, [picture], top=classes, progress=False)
    assert {label for label, _ in found[0]["top"]} == {str(i) for i in range(classes)}
    if how in (by_hand, by_timm):
        folder = zoo.save_pretrained(model, tmp_path / "m")
        assert zoo.create(folder).labels is None
        assert json.loads((folder / "config.json").read_text())["num_classes"] == classes


def test_a_head_that_no_file_could_describe_is_refused_by_its_tensors(tmp_path: Path) -> None:
    model = trained()
    by_several_layers(model, 3)
    with pytest.raises(zoo.PublishError, match=r"lacks fc\.weight.* unknown fc\.1\.bias"):
        zoo.save_pretrained(model, tmp_path / "m")


def test_labels_that_are_given_to_a_new_head_are_its_own() -> None:
    model = trained()
    model.fc = nn.Linear(model.fc.in_features, 2)
    model.labels = ("yes", "no")
    assert (model.labels, model.origin.num_classes) == (("yes", "no"), 2)


@pytest.mark.parametrize(
    "same",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: model.to(torch.float64),
        lambda model: model.freeze_until("head").train(),
        lambda model: setattr(model, "fc", copy.deepcopy(model.fc)) or model,
        lambda model: nn.utils.parametrizations.weight_norm(model.fc) and model,
        lambda model: torch.ao.quantization.quantize_dynamic(model, {nn.Linear}),
        lambda model: setattr(model, "fc", torch.compile(model.fc)) or model,
        lambda model: setattr(model, "fc", Tuned(model.fc)) or model,
        lambda model: setattr(model, "fc", ToSave(model.fc)) or model,
        lambda model: setattr(model, "fc", ToSave(model.fc).modules_to_save["default"]) or model,
    ],
    ids=[
        *("copy", "pickle", "type", "frozen", "copied-head", "parametrised"),
        *("quantised", "compiled", "lora", "saved", "merged"),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_the_same_head_keeps_its_facts(same: Callable[[ZooModel], ZooModel]) -> None:
    model = same(trained())
    assert (model.labels, model.origin.new_head, model.num_outputs) == (NAMES, False, 3)
    assert model.origin.num_classes == 3


class Tuned(nn.Module):
    """A layer as PEFT adapts it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = layer
        self.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, layer.out_features, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


class ToSave(nn.Module):
    """A layer as PEFT trains it beside the original."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.original_module = layer
        self.modules_to_save = nn.ModuleDict({"default": copy.deepcopy(layer)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.modules_to_save["default"](x)


@pytest.mark.parametrize("wrapper", [Tuned, ToSave])
def test_a_wrapped_head_is_replaced_as_a_whole(wrapper: type[nn.Module]) -> None:
    model = trained()
    model.fc = wrapper(model.fc)
    assert type(model.reset_head(5).fc) is nn.Linear
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


@pytest.mark.parametrize("name", ["timm/test_resnet", "timm/test_vit", "timm/levit_128s", "lenet5"])
def test_a_head_that_was_taken_off_can_be_put_back(name: str) -> None:
    model = trained(name)
    if hasattr(model, "reset_classifier"):
        model.reset_classifier(0)
    else:
        setattr(model, model.chain["head"].owns[0], nn.Identity())
    assert (model.num_outputs, model.labels, model.origin.num_classes) == (0, None, 0)
    assert model.summary().splitlines()[-2].split()[0] == "head"
    model.reset_head(2, labels=("a", "b"))
    assert (model.num_outputs, model.labels) == (2, ("a", "b"))
    assert model.eval()(torch.zeros(2, *model.input.size)).shape == (2, 2)


def test_a_whole_classifier_in_the_place_of_several_layers() -> None:
    model = trained("alexnet")
    wide = next(p for p in model.classifier.parameters() if p.ndim == 2).shape[1]
    model.classifier = nn.Sequential(nn.Linear(wide, 6), nn.ReLU(), nn.Linear(6, 4))
    assert (model.num_outputs, model.origin.num_classes, model.labels) == (4, 4, None)
    assert not [name for name in pretrained_part(model) if name.startswith("classifier.")]


class Cosine(nn.Module):
    """A head with weights of its own, and no layer of torch."""

    def __init__(self, wide: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, wide))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(nn.functional.normalize(x), self.weight)


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda wide: nn.Sequential(nn.Linear(wide, 8), nn.GLU()), False),
        (lambda wide: nn.Sequential(nn.Linear(wide, 4), nn.Sigmoid()), False),
        (lambda wide: Cosine(wide, 4), False),
        (lambda wide: nn.Sequential(nn.Linear(wide, 9), nn.ReLU(), nn.Linear(9, 4)), True),
        (lambda wide: nn.Sequential(nn.Dropout(), nn.Linear(wide, 4)), True),
    ],
    ids=["glu", "sigmoid", "cosine", "two", "dropout"],
)
def test_a_head_that_is_more_than_a_layer_is_asked(
    make: Callable[[int], nn.Module], layer: bool
) -> None:
    model = trained()
    wide = model.fc.in_features
    model.conv1[0] = nn.Conv2d(1, model.conv1[0].out_channels, 3, 2, 1)  # the picture is another
    model.fc = make(wide)
    assert (model.num_outputs, model.origin.num_classes, model.labels) == (4, 4, None)
    assert model.num_classes == 4 and scores_are_of_a_layer(model) == layer
    assert pickle.loads(pickle.dumps(model)).num_outputs == 4
    if isinstance(model.fc, Cosine):
        assert model.reset_head(5).num_outputs == 5 and type(model.fc) is nn.Linear
    elif isinstance(model.fc[-1], nn.GLU):
        with pytest.raises(zoo.ZooError, match="makes 4 scores of the 8 numbers") as caught:
            model.reset_head(5)
        assert "model.fc = " in str(caught.value) and model.fc[0].out_features == 8
    else:
        assert model.reset_head(5).num_outputs == 5
        assert scores_are_of_a_layer(model) == layer
    model.fc = nn.Linear(wide, 2)
    assert model.num_outputs == 2 and scores_are_of_a_layer(model)


def test_a_part_of_such_a_head_may_be_replaced() -> None:
    model = trained()
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, 8), nn.GLU())
    assert model.num_outputs == 4
    model.fc[0] = nn.Linear(model.fc[0].in_features, 12)
    assert (model.num_outputs, model.origin.num_classes) == (6, 6)


# --- the first convolution -----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", ["resnet18", "timm/test_vit"])
def test_a_first_convolution_that_was_replaced_is_noticed(name: str, channels: int) -> None:
    model = trained(name)
    path = "conv1" if name == "resnet18" else "patch_embed.proj"
    old = model.get_submodule(path)
    new = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    parent, _, last = path.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
    assert model.origin.in_chans == model.input.size[0] == len(model.input.mean) == channels
    assert model.transform()(Image.new("RGB", (64, 64))).shape[0] == channels
    assert f"{path}.weight" not in pretrained_part(model)
    assert (model.labels, model.origin.new_head) == (NAMES, False)


def test_other_colours_for_the_same_convolution_leave_its_weights_trained() -> None:
    model = trained("resnet18")
    model.conv1.weight = nn.Parameter(model.conv1.weight.sum(1, keepdim=True))
    model.conv1.in_channels = 1
    assert model.origin.in_chans == model.input.size[0] == 1
    assert "conv1.weight" in pretrained_part(model)


def test_a_model_with_another_first_convolution_comes_back_whole(tmp_path: Path) -> None:
    model = trained("resnet18").eval()
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    again = zoo.create(zoo.save_pretrained(model, tmp_path / "m")).eval()
    x = torch.rand(1, 1, 64, 64)
    assert again.origin.in_chans == 1 and torch.equal(again(x), model(x))
