"""train="...": which parameters train, and that all else stands still, statistics included."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.what_trains import apply, train_only, trained_range

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")

SIDES = {"lenet5": 32, "resnet18": 32, "inception_v3": 75, "googlenet": 64}
NORMS = (nn.BatchNorm2d,)


@functools.cache
def original(name: str) -> ZooModel:
    torch.manual_seed(0)
    model = zoo.create(name, num_classes=3)
    for module in model.modules():
        if isinstance(module, NORMS):  # some begin with zeros, and hide what is behind them
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def fresh(name: str, *, new_head: bool = False) -> ZooModel:
    torch.manual_seed(0)
    model = zoo.create(name, num_classes=3)
    model.load_state_dict(original(name).state_dict())
    return model.reset_head(3) if new_head else model


def trains(model: ZooModel) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def of_stages(model: ZooModel, *stages: str) -> set[str]:
    own = [model.chain[stage] for stage in stages]
    return {name for name, _ in model.named_parameters() if any(s.has(name) for s in own)}


def of_norms(model: ZooModel) -> set[str]:
    norms = {name for name, module in model.named_modules() if isinstance(module, NORMS)}
    return {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in norms}


RANGES = [
    ("lenet5", "conv2:", "conv2 fc1 fc2 head"),
    ("lenet5", "conv2:conv2", "conv2"),
    ("lenet5", "conv1:fc1", "conv1 conv2 fc1"),
    ("lenet5", ":conv2", "conv1 conv2"),
    ("lenet5", "conv1:", "conv1 conv2 fc1 fc2 head"),
    ("lenet5", ":", "conv1 conv2 fc1 fc2 head"),
    ("lenet5", "fc2:head", "fc2 head"),
    ("lenet5", " conv2 : fc1 ", "conv2 fc1"),
    ("resnet18", "layer3:", "layer3 layer4 head"),
    ("resnet18", "layer2:layer3", "layer2 layer3"),
    ("resnet18", ":stem", "stem"),
    ("resnet18", "layer4:pool", "layer4"),
    ("resnet18", "pool:", "head"),
    ("inception_v3", "inception_b:inception_b", "inception_b"),
    ("inception_v3", "inception_c:", "inception_c head"),
    ("googlenet", "inception3:inception4", "inception3 inception4"),
]


@pytest.mark.parametrize(("name", "what", "stages"), RANGES)
def test_a_range_trains_its_stages(name, what, stages):
    model = train_only(fresh(name), what)
    assert trains(model) == of_stages(model, *stages.split())


@pytest.mark.parametrize(("name", "what", "stages"), RANGES)
def test_a_new_head_always_trains(name, what, stages):
    model = train_only(fresh(name, new_head=True), what)
    assert trains(model) == of_stages(model, *stages.split(), "head")


@pytest.mark.parametrize("name", ["resnet18", "inception_v3", "googlenet"])
def test_norm_trains_scales_and_shifts_and_the_head(name):
    model = train_only(fresh(name), "norm")
    assert trains(model) == of_norms(model) | of_stages(model, "head")
    assert all(n.endswith((".weight", ".bias")) for n in trains(model))


@pytest.mark.parametrize("name", SIDES)
def test_bias_trains_biases_and_the_head(name):
    model = train_only(fresh(name), "bias")
    biases = {n for n, _ in model.named_parameters() if n.endswith("bias")}
    assert trains(model) == biases | of_stages(model, "head") and len(biases) > 4


def test_all_trains_everything_again():
    model = train_only(fresh("resnet18"), "norm")
    assert train_only(model, "all").frozen == ()
    assert trains(model) == set(dict(model.named_parameters()))
    assert all(module.training for module in model.train().modules())


def test_how_much_that_is_for_a_resnet50():
    """Frankle et al. count the affine parameters of its norms, BitFit all its biases."""
    model = zoo.create("resnet50")
    count = {n: p.numel() for n, p in model.named_parameters()}
    norms = trains(train_only(model, "norm")) - {"fc.weight", "fc.bias"}
    biases = trains(train_only(model, "bias")) - {"fc.weight"}
    assert sum(map(count.get, norms)) == 53_120 and sum(map(count.get, biases)) == 27_560


def test_the_words_replace_one_another_and_a_layer():
    model = fresh("resnet18")
    apply(model, "layer4")
    apply(model, "norm")
    apply(model, "layer2:layer2")
    assert trains(model) == of_stages(model, "layer2") and trained_range(model) == "layer2 to head"
    apply(model, "stem")  # nothing comes before it
    assert trains(model) == set(dict(model.named_parameters())) and trained_range(model) == "all"


# --- what stands still ---------------------------------------------------------------------------


def modes(model: ZooModel) -> set[str]:
    """The norms and dropouts that are in training mode after train()."""
    kinds = (*NORMS, nn.Dropout)
    model.eval().train()
    return {n for n, m in model.named_modules() if isinstance(m, kinds) and m.training}


def norms_in(model: ZooModel, *stages: str) -> set[str]:
    own = [model.chain[stage] for stage in stages]
    norms = {n for n, m in model.named_modules() if isinstance(m, NORMS)}
    return {n for n in norms if any(stage.has(n) for stage in own)}


def test_modes_follow_what_trains():
    resnet = train_only(fresh("resnet18"), "layer2:layer3")
    assert modes(resnet) == norms_in(resnet, "layer2", "layer3")
    assert modes(train_only(resnet, "norm")) == norms_in(resnet, *resnet.chain)
    assert modes(train_only(resnet, "bias")) == set()
    assert modes(train_only(resnet, "layer4:")) == norms_in(resnet, "layer4")


@pytest.mark.parametrize("what", ["norm", "bias", "inception5:inception5", "inception5:"])
def test_the_dropout_of_a_head_that_trains_drops(what):
    model = train_only(fresh("googlenet", new_head=True), what)
    assert "dropout" in modes(model)


def test_the_dropout_of_stages_that_train_drops():
    model = zoo.create("alexnet", num_classes=3)
    assert modes(train_only(model, "fc7:fc7")) == {"classifier.3"}
    assert modes(train_only(model, "fc6:fc7")) == {"classifier.0", "classifier.3"}
    assert modes(train_only(model, "bias")) == set()


def pictures(name: str) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    channels, side = 1 if name == "lenet5" else 3, SIDES[name]
    return TensorDataset(
        torch.randn(12, channels, side, side, generator=draw), torch.arange(12) % 3
    )


def moved(model: ZooModel, before: dict[str, Tensor]) -> set[str]:
    return {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}


STILL = [
    *[("lenet5", what) for what in ("conv2:conv2", "bias", "fc2:", ":conv1")],
    *[("resnet18", what) for what in ("layer2:layer3", "norm", "bias", "layer4:", ":stem")],
    *[("inception_v3", what) for what in ("norm", "inception_b:inception_b")],
]


@pytest.mark.parametrize(("name", "what"), STILL)
def test_three_steps_move_what_trains_and_nothing_else(name, what):
    model = fresh(name)
    before = {n: tensor.clone() for n, tensor in model.state_dict().items()}
    given = {"epochs": 1, "batch_size": 4, "val": False, "lr": 0.01, "optimizer": "sgd"}
    quiet = {"out": False, "progress": False, "augment": False}
    zoo.finetune(model, pictures(name), train=what, regularizers=["l2=0.01"], **given, **quiet)
    statistics = {
        f"{norm}.{buffer}"
        for norm in modes(model)
        if isinstance(model.get_submodule(norm), NORMS)
        for buffer in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert moved(model, before) == trains(model) | statistics
    assert bool(statistics) == (name != "lenet5" and what != "bias")


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("layer9:", zoo.UnknownName, r'No stage "layer9"\. Closest: "layer4".*In order: stem'),
        ("layer2:heed", zoo.UnknownName, r'No stage "heed"\. Closest: "head"'),
        ("layer3:layer2", zoo.RecipeError, r'"layer3:layer2" holds no stage\. In order: stem'),
        ("layer1.0:", zoo.UnknownName, r'No stage "layer1.0"'),
    ],
)
def test_errors_name_the_stages_and_change_nothing(what, error, message):
    model = fresh("resnet18").freeze_until("layer3")
    before = trains(model)
    with pytest.raises(error, match=message):
        train_only(model, what)
    assert trains(model) == before


def test_a_network_without_norms_has_none_to_train():
    with pytest.raises(zoo.RecipeError, match=r"lenet5 has no normalisation.*freeze_until"):
        train_only(fresh("lenet5"), "norm")


def test_a_range_where_nothing_has_weights_trains_nothing():
    with pytest.raises(zoo.RecipeError, match=r"Nothing trains"):
        zoo.finetune(fresh("resnet18"), pictures("resnet18"), train="pool:pool", out=False)
