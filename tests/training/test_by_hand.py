"""A network that was changed by hand is trained without a run, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo_core as zoo
from zoo_core.model import ZooModel
from zoo_core.model.rebuilt import other_answers, rebuilt

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

NAME = "timm/test_resnet"
COLOURS = [(torch.rand(3, 160, 160), number % 3) for number in range(9)]


def small() -> ZooModel:
    return zoo.create(NAME, num_classes=3)


def several_layers(model: ZooModel) -> None:
    model.fc = nn.Sequential(nn.Dropout(), nn.Linear(model.fc.in_features, 3))


def another_activation(model: ZooModel) -> None:
    model.act1 = nn.GELU()


def behind_a_zero(model: ZooModel) -> None:
    """A fresh block ends with a norm of weight zero: what is before it does not show by itself."""
    model.layer4[0].act1 = nn.ELU()
    assert not model.layer4[0].bn2.weight.any()


def far_from_zero(model: ZooModel) -> None:
    model.act1 = nn.ReLU6()


def another_pool(model: ZooModel) -> None:
    model.reset_classifier(3, "max")


def no_pool_between(model: ZooModel) -> None:
    model.maxpool = nn.Identity()


def a_hook(model: ZooModel) -> None:
    model.layer4.register_forward_hook(lambda module, given, out: out * 2)


def normed(model: ZooModel) -> None:
    nn.utils.parametrizations.weight_norm(model.fc)


def no_bias(model: ZooModel) -> None:
    model.fc = nn.Linear(model.fc.in_features, 3, bias=False)


def compiled(model: ZooModel) -> None:
    model.layer4 = torch.compile(model.layer4, backend="eager")


CHANGES = [
    (several_layers, r"it lacks fc\.weight, fc\.bias and has unknown fc\.1\.weight"),
    (another_activation, r"act1 is GELU\(.*\), where ReLU\(inplace=True\) is made"),
    (behind_a_zero, r"layer4\.0\.act1 is ELU\(.*\), where ReLU"),
    (far_from_zero, r"act1 is ReLU6\(\), where ReLU"),
    (another_pool, r"is AdaptiveMaxPool2d\(.*\), where AdaptiveAvgPool2d"),
    (no_pool_between, r"maxpool is Identity\(\), where MaxPool2d"),
    (a_hook, "it gives other scores with the same weights"),
    (normed, r"it lacks fc\.weight and has unknown fc\.parametrizations"),
    (no_bias, r"it lacks fc\.bias\."),
    (compiled, "layer4 is compiled, which compile=True does later"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=lambda x: getattr(x, "__name__", ""))
def test_what_would_load_as_another_is_refused_before_the_training(
    change: Callable[[ZooModel], None], message: str, tmp_path: Path
) -> None:
    model = small()
    change(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(zoo.RecipeError, match=message) as caught:
        zoo.finetune(model, COLOURS, epochs=1, out=tmp_path / "run", progress=False)
    assert "\n" not in str(caught.value) and "out=False" in str(caught.value)
    assert f"This {NAME} would not come back from its run" in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("change", [several_layers, another_pool])
def test_without_a_run_it_trains(change: Callable[[ZooModel], None]) -> None:
    model = small()
    change(model)
    quiet = {"epochs": 1, "batch_size": 4, "out": False, "progress": False, "val": False}
    assert zoo.finetune(model, COLOURS, freeze_until="head", **quiet).model is model


@pytest.mark.parametrize(
    "make",
    [
        small,
        lambda: small().half(),
        lambda: small().double(),
        lambda: small().to(memory_format=torch.channels_last),
        lambda: small().freeze_until("layer4"),
        lambda: small().train(),
        lambda: zoo.create(NAME, in_chans=1, num_classes=3),
        lambda: zoo.create(NAME, global_pool="max", num_classes=3, drop_rate=0.5),
        lambda: zoo.create("timm/test_vit", img_size=96, num_classes=3),
        lambda: zoo.create(NAME, num_classes=0).reset_head(3),
        lambda: zoo.create("lenet5", pretrained=True, num_classes=3),
        lambda: scripted(small().eval()),
    ],
    ids=[
        *("plain", "half", "double", "last", "frozen", "train"),
        *("grey", "max", "vit", "0", "lenet", "scripted"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_what_arguments_make_is_made_again(make: Callable[[], ZooModel]) -> None:
    torch.manual_seed(0)
    model = make()
    state, tensors = torch.get_rng_state(), model.state_dict(keep_vars=True)
    again = rebuilt(model, "it")
    assert other_answers(model, again) == ""
    assert torch.equal(torch.get_rng_state(), state)
    assert all(tensors[name] is own for name, own in model.state_dict(keep_vars=True).items())
    assert {*again.state_dict()} == {*model.state_dict()}


def scripted(model: ZooModel) -> ZooModel:
    model.layer4 = torch.jit.script(model.layer4)
    return model


@pytest.mark.parametrize("how", ["run", "folder"])
def test_a_model_that_was_loaded_goes_on(how: str, tmp_path: Path) -> None:
    plain = {"epochs": 0, "head": "ridge", "freeze_until": "head", "progress": False}
    path = zoo.finetune("lenet5", "digits", out=tmp_path / "run", **plain).path
    assert path is not None
    if how == "folder":
        path = zoo.create(path).save_pretrained(tmp_path / "folder")
    run = zoo.finetune(zoo.create(path), "digits", out=tmp_path / "next", **plain)
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(zoo.create(tmp_path / "next").eval()(x), run.model.eval()(x))


def test_a_head_that_gives_no_scores_is_refused_without_a_run_too() -> None:
    model = small()
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, 3), nn.Unflatten(1, (3, 1)))
    with pytest.raises(zoo.RecipeError, match=r"gives \(1, 3, 1\) for a picture"):
        zoo.finetune(model, COLOURS, out=False, progress=False)
    model = small()
    model.layer4[0].conv1.stride = (1, 1)
    with pytest.raises(zoo.RecipeError, match=r"takes no picture of \(3, 160, 160\): The size of"):
        zoo.finetune(model, COLOURS, out=False, progress=False)


def test_a_lazy_layer_waits_for_a_picture() -> None:
    model = small()
    model.fc = nn.LazyLinear(3)
    assert "fc.weight" not in zoo.pretrained_part(model)
    with pytest.raises(zoo.RecipeError, match=r"fc\.weight has no size as yet"):
        zoo.finetune(model, COLOURS, out=False, progress=False)
