"""freeze_until on zoo's own models: what feeds a layer, what frozen means, and what is refused."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings

import pytest
import torch
from support.autograd_twin import feeds, with_gradient
from torch import nn

import zoo_core as zoo
from zoo_core.transfer.freezing import Freezable

STAGES = ["stem", "layer1", "layer2", "layer3", "layer4", "pool", "head"]


@functools.cache
def structure(name: str, **config) -> zoo.ZooModel:
    """A model without values: what feeds what is the same, and asking takes no time."""
    return zoo.create(name, num_classes=2, **config).to("meta")


def shape_of_input(model: zoo.ZooModel) -> torch.Tensor:
    return torch.zeros(1, *model.input.size, device="meta")


def picture(model: zoo.ZooModel, count: int = 1) -> torch.Tensor:
    shape = (count, model.input.size[0], 32, 32)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def in_eval_mode(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if not module.training}


@pytest.fixture(scope="module")
def untouched() -> zoo.ZooModel:
    return zoo.create("resnet18", num_classes=3)


@pytest.fixture
def resnet(untouched) -> zoo.ZooModel:
    return copy.deepcopy(untouched)


# --- what feeds a layer --------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.list_models())
def test_what_a_stage_freezes_is_what_autograd_says_feeds_it(name):
    model = structure(name).unfreeze().eval()
    boundary, feeding = shape_of_input(model), {}
    for stage in model.chain.values():
        feeding[stage.name] = with_gradient(model, [boundary]) if feeding else set()
        for step in stage.run:
            boundary = (
                model.get_submodule(step)(boundary)
                if isinstance(step, str)
                else step(model, boundary)
            )
    for stage, expected in feeding.items():
        if expected:
            assert set(model.freeze_until(stage).frozen) == expected
            assert trainable(model) == names(model) - expected
    first = next(iter(model.chain))
    assert not feeding[first]
    with pytest.raises(zoo.FreezeError, match=f'Nothing feeds "{first}"'):
        model.freeze_until(first)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lenet5", "act3"),
        ("alexnet", "features.8"),
        ("alexnet", "classifier.4"),
        ("resnet18", "layer3.1.conv2"),
        ("resnet18", "layer4.0.bn2"),
        ("resnet18", "fc"),
        ("resnet50", "layer2.0.downsample"),
        ("resnet50", "layer3.5.conv3"),
        ("resnet50d", "layer2.0.downsample.1"),
        ("googlenet", "inception3a"),
        ("googlenet", "inception4a.branch2"),
        ("googlenet", "inception4a.branch3.1.conv"),
        ("googlenet", "inception4a.branch4.1.bn"),
        ("googlenet", "inception5b"),
        ("inception_v3", "Mixed_5b"),
        ("inception_v3", "Mixed_6b.branch7x7_2"),
        ("inception_v3", "Mixed_7c.branch3x3_2b"),
        ("inception_v4", "features.11.branch2.3.bn"),
        ("inception_resnet_v2", "repeat.3.branch2.1"),
        ("inception_resnet_v2", "repeat.3.conv2d"),
        ("inception_resnet_v2", "conv2d_7b"),
    ],
)
def test_a_path_freezes_what_autograd_says_feeds_it(name, layer):
    model = structure(name)
    expected = feeds(model, layer, shape_of_input(model))
    model.freeze_until(layer)
    assert set(model.frozen) == expected
    assert trainable(model) == names(model) - expected
    assert 0 < len(expected) < len(names(model))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("resnet18", "layer2"),
        ("googlenet", "inception4b.branch3"),
        ("inception_v3", "Mixed_6b.branch1x1"),  # its norms have dropout and activation as parts
    ],
)
def test_every_module_is_a_cut_that_autograd_agrees_with(name, part):
    model = structure(name)
    norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    x = shape_of_input(model)
    paths = [n for n, _ in model.named_modules() if n.startswith(part) and n not in model.chain]
    for layer in filter(None, paths):
        expected = feeds(model, layer, x)
        if expected:
            assert set(model.freeze_until(layer, example=x).train().frozen) == expected, layer
            resting = {name for name, norm in norms.items() if not norm.training}
            assert resting == {name for name in norms if f"{name}.weight" in expected}, layer
        else:
            with pytest.raises(zoo.FreezeError, match="Nothing feeds"):
                model.freeze_until(layer, example=x)


@pytest.mark.parametrize("layer", ["layer4", "layer3.1.conv2", "layer2.0.downsample"])
def test_values_make_no_difference_to_what_feeds(resnet, layer):
    expected = feeds(resnet, layer, picture(resnet))
    assert set(resnet.freeze_until(layer).frozen) == expected
    assert resnet.frozen == structure("resnet18").freeze_until(layer).frozen


def test_a_path_needs_no_example_in_a_model_of_zoo(resnet):
    by_default = resnet.freeze_until("layer3.1.conv2").frozen
    assert by_default == resnet.freeze_until("layer3.1.conv2", example=picture(resnet)).frozen


def test_the_main_branch_is_frozen_and_the_shortcut_beside_it_trains(resnet):
    resnet.freeze_until("layer4.0.bn2")
    frozen = {name for name in resnet.frozen if name.startswith("layer4")}
    assert frozen == {
        "layer4.0.conv1.weight",
        "layer4.0.bn1.weight",
        "layer4.0.bn1.bias",
        "layer4.0.conv2.weight",
    }


def test_auxiliary_heads_train_with_the_head():
    model = structure("googlenet", aux_heads=True)
    auxiliary = {name for name in names(model) if name.startswith("aux")}
    assert auxiliary
    for layer in ("head", "inception5b.branch2.1"):
        assert auxiliary <= trainable(model.freeze_until(layer))


def test_frozen_lists_names_in_the_order_of_the_state_dict(resnet):
    frozen = resnet.freeze_until("layer4").frozen
    assert list(frozen) == [name for name in resnet.state_dict() if name in frozen]


# --- what frozen means ---------------------------------------------------------------------------


def test_frozen_parameters_need_no_gradient_and_have_none(resnet):
    resnet(picture(resnet, 2)).sum().backward()
    assert resnet.freeze_until("layer4") is resnet
    parameters = dict(resnet.named_parameters())
    for name in resnet.frozen:
        assert parameters[name].grad is None
        assert not parameters[name].requires_grad
    assert all(parameters[name].grad is not None for name in trainable(resnet))


def test_a_backward_pass_from_before_the_freeze_leaves_frozen_gradients_alone(resnet):
    loss = resnet(picture(resnet, 2)).sum()
    resnet.freeze_until("layer4")
    loss.backward()
    assert all(resnet.get_parameter(name).grad is None for name in resnet.frozen)


@pytest.mark.parametrize("layer", ["layer4", "layer4.0"])
def test_what_is_frozen_stays_in_eval_mode_and_the_rest_follows(resnet, layer):
    resnet.freeze_until(layer)
    for _ in range(5):
        resnet.train()
        norms = {n: m for n, m in resnet.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert {n for n, m in norms.items() if m.training} == {
            n for n in norms if n.startswith("layer4")
        }
        assert resnet.training and resnet.fc.training and resnet.global_pool.training
        resnet.eval()
        assert in_eval_mode(resnet) == {name for name, _ in resnet.named_modules()}


def test_freezing_in_eval_mode_leaves_the_rest_in_eval_mode(resnet):
    resnet.eval().freeze_until("layer4")
    assert in_eval_mode(resnet) == {name for name, _ in resnet.named_modules()}
    resnet.train(False)
    assert not resnet.fc.training
    resnet.train()
    assert resnet.fc.training and not resnet.layer1[0].bn1.training


@pytest.mark.parametrize("layer", ["layer3", "layer3.0"])
def test_stochastic_depth_rests_in_the_frozen_part_alone(layer):
    model = structure("resnet18", drop_path_rate=0.5).freeze_until(layer).train()
    dropping = {n: m.training for n, m in model.named_modules() if n.endswith("drop_path")}
    assert dropping
    assert dropping == {n: n.startswith(("layer3", "layer4")) for n in dropping}


@pytest.mark.parametrize("layer", ["fc7", "classifier.4"])
def test_dropout_rests_in_the_frozen_part_alone(layer):
    model = structure("alexnet").freeze_until(layer).train()
    assert not model.classifier[0].training  # before fc6, which is frozen
    assert model.classifier[3].training == (layer == "fc7")  # before fc7
    assert model.classifier[5].training


def test_the_frozen_part_computes_the_same_in_train_mode():
    model = zoo.create("resnet18", drop_path_rate=0.5).freeze_until("layer4").train()
    x = picture(model, 2)
    before = [model.forward_until(x, "layer4") for _ in range(2)]
    assert torch.equal(*before)
    assert torch.equal(before[0], copy.deepcopy(model).eval().forward_until(x, "layer4"))


def test_autograd_builds_no_graph_for_the_frozen_part(resnet):
    resnet.freeze_until("layer4").train()
    x = picture(resnet, 2)
    assert not resnet.forward_until(x, "layer4").requires_grad
    assert resnet.forward_until(x, "pool").requires_grad


def test_freezing_does_not_change_what_the_model_computes(resnet):
    resnet.eval()
    x = picture(resnet, 2)
    before = resnet(x)
    for layer in ("layer4", "head", "layer2.1.conv2"):
        assert torch.equal(resnet.freeze_until(layer)(x), before)
    assert torch.equal(resnet.unfreeze()(x), before)


def test_modules_are_never_swapped_and_statistics_stay_tracked(resnet):
    modules = dict(resnet.named_modules())
    keys = list(resnet.state_dict())
    resnet.freeze_until("head").train()
    assert dict(resnet.named_modules()) == modules
    assert list(resnet.state_dict()) == keys
    assert all(m.track_running_stats for m in modules.values() if isinstance(m, nn.BatchNorm2d))


def test_train_norm_lets_scale_and_shift_of_frozen_norms_learn(resnet):
    resnet.freeze_until("layer4", train_norm=True).train()
    norms = {n for n in names(resnet) if ".bn" in n or n.startswith("bn1") or "downsample.1" in n}
    assert not norms & set(resnet.frozen)
    assert norms <= trainable(resnet)
    assert "layer1.0.conv1.weight" in resnet.frozen
    assert not resnet.bn1.training
    before = copy.deepcopy(resnet.bn1.state_dict())
    optimizer = torch.optim.SGD(resnet.parameters(), lr=0.1)
    resnet(picture(resnet, 2)).square().sum().backward()
    optimizer.step()
    after = resnet.bn1.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "weight",
        "bias",
    }
    assert "bn1.weight" in resnet.freeze_until("layer4").frozen


# --- one call after another ----------------------------------------------------------------------


def test_calls_replace_each_other(resnet):
    fresh = {
        layer: copy.deepcopy(resnet).freeze_until(layer)
        for layer in ("head", "layer2", "layer3.1.conv2", "layer4")
    }
    for layer in ("head", "layer4", "layer2", "layer3.1.conv2", "head", "layer2"):
        resnet.train().freeze_until(layer)
        assert resnet.frozen == fresh[layer].frozen
        assert trainable(resnet) == trainable(fresh[layer])
        assert in_eval_mode(resnet) == in_eval_mode(fresh[layer])


def test_unfreeze_restores_the_flags_from_before_the_first_freeze(resnet):
    resnet.conv1.requires_grad_(False)
    resnet.fc.bias.requires_grad_(False)
    before = trainable(resnet)
    resnet.freeze_until("head").freeze_until("layer3.1.conv2").freeze_until("layer2")
    assert "fc.bias" in trainable(resnet)  # what comes after the layer trains
    assert resnet.unfreeze() is resnet
    assert trainable(resnet) == before
    assert resnet.frozen == ()


def test_unfreeze_restores_the_modes(resnet):
    resnet.freeze_until("head").train().unfreeze()
    assert in_eval_mode(resnet) == set()
    resnet.freeze_until("head").eval().unfreeze()
    assert in_eval_mode(resnet) == {name for name, _ in resnet.named_modules()}
    assert in_eval_mode(resnet.train()) == set()


def test_unfreezing_what_is_not_frozen_changes_nothing(resnet):
    resnet.conv1.requires_grad_(False)
    assert trainable(resnet.unfreeze()) == names(resnet) - {"conv1.weight"}


def test_flags_are_taken_anew_after_an_unfreeze(resnet):
    resnet.freeze_until("head").unfreeze()
    resnet.conv1.requires_grad_(False)
    resnet.freeze_until("head").unfreeze()
    assert trainable(resnet) == names(resnet) - {"conv1.weight"}


def test_a_call_that_fails_leaves_the_earlier_one_in_place(resnet):
    resnet.freeze_until("layer4").train()
    frozen, modes = resnet.frozen, in_eval_mode(resnet)
    for layer in ("stem", "conv1", "layer5", None):
        with pytest.raises(zoo.ZooError):
            resnet.freeze_until(layer)
    assert (resnet.frozen, in_eval_mode(resnet)) == (frozen, modes)


def test_a_head_that_is_reset_after_freezing_trains(resnet):
    resnet.freeze_until("layer4").train().reset_head(5)
    assert {"fc.weight", "fc.bias"} <= trainable(resnet)
    assert resnet.fc.training and not resnet.bn1.training
    assert "conv1.weight" in resnet.frozen
    resnet.train().unfreeze()
    assert trainable(resnet) == names(resnet)


def test_a_model_without_a_head_is_frozen_whole():
    model = zoo.create("resnet18", num_classes=0, freeze_until="head")
    assert set(model.frozen) == names(model)


def test_create_freezes(resnet):
    for layer in ("layer4", "layer4.1"):
        model = zoo.create("resnet18", num_classes=3, freeze_until=layer)
        assert model.frozen == resnet.freeze_until(layer).frozen


# --- what a person may do to a frozen model ------------------------------------------------------


def test_a_frozen_part_set_to_train_by_hand_is_put_right_by_the_next_train(resnet):
    resnet.freeze_until("layer4")
    resnet.layer3.train()
    resnet.bn1.train()
    resnet.train()
    assert not resnet.layer3[0].bn1.training and not resnet.bn1.training


def test_a_parameter_that_is_set_to_train_by_hand_is_frozen_no_more(resnet):
    resnet.freeze_until("layer4")
    resnet.conv1.requires_grad_(True)
    assert "conv1.weight" not in resnet.frozen
    resnet.requires_grad_(True)
    assert resnet.frozen == ()
    assert "conv1.weight" in resnet.freeze_until("layer4").frozen


def test_types_can_change_after_freezing(resnet):
    frozen = resnet.freeze_until("layer4").frozen
    for dtype in (torch.bfloat16, torch.float64, torch.float32):
        resnet.to(dtype).train()
        assert resnet.frozen == frozen
        assert not resnet.bn1.training


def test_apply_can_still_write_into_a_frozen_model(resnet):
    resnet.freeze_until("layer4").apply(_fill)
    assert float(resnet.conv1.weight.detach().mean()) == 0.5
    assert "conv1.weight" in resnet.frozen


def _fill(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.constant_(module.weight, 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_floating_type_can_be_frozen_by_path(resnet, dtype):
    expected = resnet.freeze_until("layer3.1.conv2").frozen
    assert resnet.unfreeze().to(dtype).freeze_until("layer3.1.conv2").frozen == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("layer", ["layer4", "layer3.1.conv2"])
def test_freezing_works_in_every_mode_of_autograd(resnet, mode, layer):
    expected = resnet.freeze_until(layer).frozen
    resnet.unfreeze()
    with mode():
        assert resnet.freeze_until(layer).frozen == expected
        x = torch.zeros(1, 3, 32, 32)
        assert resnet.freeze_until(layer, example=x).frozen == expected
        assert len(resnet.unfreeze().frozen) == 0
    assert trainable(resnet) == names(resnet)


# --- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_copies_are_as_frozen_as_the_original(resnet, frozen, way, tmp_path):
    if frozen:
        resnet.freeze_until("layer4")
    resnet.train()
    again = _copied(resnet, way, tmp_path)
    assert type(again) is type(resnet)
    assert again.frozen == resnet.frozen and bool(again.frozen) == frozen
    assert trainable(again) == trainable(resnet)
    again.eval().train()
    assert in_eval_mode(again) == in_eval_mode(resnet)
    x = picture(resnet, 2)
    assert torch.equal(again.eval()(x), resnet.eval()(x))
    again.unfreeze()
    assert trainable(again) == names(again)
    assert len(resnet.frozen) == 45 * frozen


def _copied(model: nn.Module, way: str, folder) -> nn.Module:
    if way == "deepcopy":
        return copy.deepcopy(model)
    if way == "pickle":
        return pickle.loads(pickle.dumps(model))
    torch.save(model, folder / "model.pt")
    return torch.load(folder / "model.pt", weights_only=False)


@pytest.mark.parametrize("frozen", [False, True])
def test_torch_compile_works_and_keeps_frozen_what_is(frozen):
    model = zoo.create("lenet5")
    if frozen:
        model.freeze_until("fc2")
    x = picture(model, 2)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(compiled(x), model(x))
    compiled.train()
    assert model.conv1.training is not frozen
    compiled(x).sum().backward()
    assert (model.conv1.weight.grad is None) == frozen
    assert model.head.weight.grad is not None


def test_a_compiled_model_can_be_frozen_and_compiles_anew(resnet):
    x = picture(resnet, 2)
    compiled = torch.compile(resnet, backend="eager")
    compiled(x)
    assert zoo.freeze_until(compiled, "layer4") is compiled
    compiled.train()
    statistics = resnet.bn1.running_mean.clone()
    compiled(x).sum().backward()
    assert torch.equal(resnet.bn1.running_mean, statistics)
    assert resnet.conv1.weight.grad is None


def test_a_model_that_compiles_itself_is_seen_through(resnet):
    expected = resnet.freeze_until("layer3.1.conv2").frozen
    resnet.unfreeze().compile(backend="aot_eager")
    assert resnet.freeze_until("layer3.1.conv2").frozen == expected


@pytest.mark.parametrize("frozen", [False, True])
def test_torch_export_works(frozen):
    model = zoo.create("lenet5")
    if frozen:
        model.freeze_until("fc2")
    x = picture(model, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model.eval(), (x,))
    assert torch.allclose(program.module()(x), model(x))


def test_the_original_class_still_holds(resnet):
    import timm

    original = timm.models.resnet.ResNet
    assert isinstance(resnet, original)
    assert type(resnet).__name__ == "ResNet"
    assert type(resnet).__qualname__ == "ResNet"
    plain = timm.create_model("resnet18", num_classes=3)
    assert list(plain.state_dict()) == list(resnet.freeze_until("layer4").state_dict())
    plain.load_state_dict(resnet.state_dict())


# --- what is refused -----------------------------------------------------------------------------


def test_an_unknown_layer_names_the_closest_and_lists_the_stages_in_order(resnet):
    with pytest.raises(zoo.UnknownName) as error:
        resnet.freeze_until("layer5")
    assert str(error.value).startswith('No layer "layer5". Closest: "layer')
    assert error.value.hint == f"Stages in order: {' '.join(STAGES)}."


def test_an_unknown_path_names_the_closest_path(resnet):
    with pytest.raises(zoo.UnknownName, match=r'Closest: .*"layer4\.1\.conv2"'):
        resnet.freeze_until("layer4.1.conv3")


@pytest.mark.parametrize("layer", ["", " ", "layer4.", ".layer4", "Layer4 ", "fc.weight"])
def test_what_is_nearly_a_layer_is_unknown(resnet, layer):
    with pytest.raises(zoo.UnknownName, match=r"No layer .*Stages in order: stem layer1"):
        resnet.freeze_until(layer)


@pytest.mark.parametrize("layer", [None, 4, ["layer4"], nn.ReLU(), b"layer4", True])
def test_a_layer_is_named_by_a_string(resnet, layer):
    with pytest.raises(zoo.UnknownName, match=r"named by a string, not by .*Stages in order"):
        resnet.freeze_until(layer)


@pytest.mark.parametrize("layer", ["stem", "conv1"])
def test_freezing_nothing_is_an_error_that_names_the_later_layers(resnet, layer):
    with pytest.raises(zoo.FreezeError, match=f'Nothing feeds "{layer}"') as error:
        resnet.freeze_until(layer)
    assert "layer1 layer2 layer3 layer4 pool head" in error.value.hint
    assert trainable(resnet) == names(resnet)


@pytest.mark.parametrize("layer", ["layer4", "layer4.0"])
def test_a_parameter_that_is_tied_across_the_cut_is_an_error(resnet, layer):
    resnet.layer4[1].conv1.weight = resnet.layer4[1].conv2.weight
    assert resnet.freeze_until("head").frozen  # both on one side
    resnet.layer4[1].bn1.weight = resnet.layer3[1].bn1.weight = nn.Parameter(torch.ones(512))
    resnet.layer3[1].bn1 = nn.Identity()
    resnet.layer4[1].conv1.weight = resnet.layer4[0].conv2.weight
    assert resnet.freeze_until(layer).frozen
    resnet.layer3[1].conv1 = nn.Conv2d(256, 256, 3, padding=1, bias=False)
    resnet.layer4[0].extra = nn.Module()
    resnet.layer4[0].extra.weight = resnet.layer3[1].conv1.weight
    with pytest.raises(zoo.FreezeError, match=r"layer3.1.conv1.weight feeds .*layer4.0.extra"):
        resnet.freeze_until("layer4")


def test_an_example_that_the_model_does_not_take_is_an_error(resnet):
    with pytest.raises(zoo.FreezeError, match="expected input") as error:
        resnet.freeze_until("layer4.0", example=torch.zeros(1, 5, 32, 32))
    assert "example" in error.value.hint
    assert isinstance(error.value.__cause__, RuntimeError)
    assert trainable(resnet) == names(resnet)
    assert in_eval_mode(resnet) == set()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in resnet.modules())


# --- the pass leaves nothing behind --------------------------------------------------------------


def test_the_pass_that_asks_autograd_leaves_nothing_behind():
    model = zoo.create("resnet18", num_classes=3, drop_path_rate=0.5)
    model.layer2.eval()
    model(picture(model, 2)).sum().backward()
    before = _everything(model)
    state = torch.get_rng_state()
    model.freeze_until("layer3.1.conv2")
    assert torch.equal(torch.get_rng_state(), state)
    after = _everything(model)
    assert after["hooks"] == []
    for name, gradient in after["gradients"].items():
        assert gradient is None if name in model.frozen else gradient is before["gradients"][name]
    held = {name for name, _ in model.named_modules() if name.startswith(("layer1", "layer2"))}
    changed = {n for n in before["modes"] if before["modes"][n] != after["modes"][n]}
    assert changed and all(not after["modes"][name] for name in changed)
    assert held <= in_eval_mode(model)
    for name, tensor in after["tensors"].items():
        assert torch.equal(tensor, before["tensors"][name]), name


def _everything(model: nn.Module) -> dict:
    return {
        "hooks": [n for n, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks],
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "tensors": {name: tensor.clone() for name, tensor in model.state_dict().items()},
    }


# --- groups for optimizers -----------------------------------------------------------------------


def test_groups_hold_what_trains_and_nothing_else(resnet):
    resnet.freeze_until("layer3.1.conv2")
    grouped = [p for group in resnet.param_groups(1.0) for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in resnet.parameters() if p.requires_grad}
    assert len(grouped) == len({id(p) for p in grouped})


def test_the_rate_falls_stage_by_stage_from_the_head(resnet):
    groups = resnet.param_groups(0.8, decay=0.5)
    rates = {group["stage"]: group["lr"] for group in groups}
    assert rates == {
        "head": 0.8,
        "layer4": 0.4,
        "layer3": 0.2,
        "layer2": 0.1,
        "layer1": 0.05,
        "stem": 0.025,
    }
    assert [g["lr"] for g in resnet.freeze_until("layer4").param_groups(1.0)] == [1, 1, 0.75, 0.75]
    assert {g["lr"] for g in resnet.param_groups(0.3, decay=1.0)} == {0.3}


def test_norms_and_biases_have_no_weight_decay_unless_asked(resnet):
    for group in resnet.param_groups(1.0, weight_decay=0.1):
        assert {p.ndim >= 2 for p in group["params"]} == {group["weight_decay"] == 0.1}
    for group in resnet.param_groups(1.0, weight_decay=0.1, no_decay=None):
        assert group["weight_decay"] == 0.1
    for group in resnet.param_groups(1.0):
        assert ("weight_decay" in group) == (group["params"][0].ndim < 2)
    with pytest.raises(zoo.UnknownName, match="norm-and-bias"):
        resnet.param_groups(1.0, no_decay="norms")


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_groups_work_with_optimizers_and_schedulers(kind):
    model = zoo.create("lenet5").freeze_until("fc1")
    optimizer = kind(model.param_groups(0.01, decay=0.5, weight_decay=0.1), lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    for _ in range(2):
        model(picture(model)).sum().backward()
        optimizer.step()
        scheduler.step()
    assert [g["initial_lr"] for g in optimizer.param_groups] == [0.01] * 2 + [0.005] * 2 + [
        0.0025
    ] * 2
    assert all(abs(group["lr"]) < 1e-9 for group in optimizer.param_groups)


def test_the_public_function_is_the_method(resnet):
    assert zoo.freeze_until(resnet, "layer4") is resnet
    assert isinstance(resnet, Freezable)
    assert resnet.frozen == structure("resnet18").freeze_until("layer4").frozen
    zoo.freeze_until(resnet, "layer4", train_norm=True)
    assert "bn1.weight" not in resnet.frozen


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_a_gpu_is_frozen_there(resnet):
    expected = {layer: resnet.freeze_until(layer).frozen for layer in ("layer4", "layer3.1.conv2")}
    resnet.unfreeze().cuda()
    for layer, frozen in expected.items():
        state = torch.cuda.get_rng_state()
        assert resnet.freeze_until(layer).frozen == frozen
        assert torch.equal(torch.cuda.get_rng_state(), state)
        resnet.train()
        before = {name: tensor.clone() for name, tensor in resnet.state_dict().items()}
        optimizer = torch.optim.AdamW(resnet.parameters(), lr=0.01, weight_decay=0.1)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=False)
            resnet(picture(resnet, 2).cuda()).square().mean().backward()
            optimizer.step()
        moved = {n for n, t in resnet.state_dict().items() if not torch.equal(t, before[n])}
        assert "fc.weight" in moved and not moved & {*frozen, "bn1.running_mean"}
