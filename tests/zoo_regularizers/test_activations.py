"""Regularizers of activations: each against its formula, and what they leave behind."""

import copy

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

import zoo_core as zoo
from zoo_core.testing import check_regularizer
from zoo_regularizers.bss import smallest_singular_values
from zoo_regularizers.dropblock import drop_blocks
from zoo_regularizers.dropout import classic_dropout
from zoo_regularizers.feature_delta import map_distance
from zoo_regularizers.stochastic_depth import drop_rates

NAMES = ["dropout", "dropblock", "stochastic-depth", "feature-delta", "bss"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def lenet() -> nn.Module:
    return zoo.create("lenet5").train()


def resnet(frozen: str | None = None) -> nn.Module:
    model = zoo.create("resnet18", num_classes=3).train()
    return model.freeze_until(frozen) if frozen else model


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def digits(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 1, 32, 32)


def pictures(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def entering(module: nn.Module) -> list[torch.Tensor]:
    """What enters a module from now on, once hooks that were there before have changed it."""
    seen: list[torch.Tensor] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


def step(stack, model, x):
    """The loss that the stack adds at a step."""
    outputs = model(x)
    return stack.loss(outputs.new_zeros(()), outputs, torch.zeros(len(x), dtype=torch.long))


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dropout", "dropout:form=classic", "feature-delta", "bss"])
def test_they_keep_the_contract(name):
    check_regularizer(name)


@pytest.mark.parametrize("name", NAMES)
def test_attached_twice_and_detached_they_leave_the_model_as_it_was(name):
    model = resnet()
    keys, before = list(model.state_dict()), copy.deepcopy(model).eval()
    stack = zoo.regularizers(name).attach(model)
    count = hooks(model)
    stack.attach(model)
    assert hooks(model) == count
    assert list(model.state_dict()) == keys
    stack.detach()
    assert hooks(model) == 0
    assert str(model) == str(before.train())
    x = pictures()
    assert torch.equal(model.eval()(x), before.eval()(x))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_frozen_stays_and_what_trains_learns(name):
    model = resnet("layer4")
    frozen = {n: t.clone() for n, t in model.state_dict().items() if not n.startswith(("l", "fc"))}
    stack = zoo.regularizers(name).attach(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.1)
    for _ in range(2):
        outputs = model(pictures())
        loss = nn.functional.cross_entropy(outputs, torch.tensor([0, 2]))
        stack.loss(loss, outputs, torch.tensor([0, 2])).backward()
        stack.gradients()
        optimizer.step()
        stack.weights()
    stack.detach()
    assert all(p.grad is not None for p in weights)
    assert all(torch.equal(model.state_dict()[n], t) for n, t in frozen.items())


@pytest.mark.parametrize("name", ["dropout", "dropblock", "feature-delta"])
def test_a_stage_that_is_not_there_is_answered_with_the_closest(name):
    with pytest.raises(zoo.UnknownName, match=r'No stage "layer44". Closest: "layer4"'):
        zoo.regularizers(f"{name}:stages=layer44").attach(resnet())


@pytest.mark.parametrize("name", ["dropout", "dropblock", "feature-delta", "stochastic-depth"])
def test_a_chosen_stage_that_is_frozen_is_an_error(name):
    with pytest.raises(zoo.RecipeError, match=rf"{name} has nothing to act on: no .* in layer2"):
        zoo.regularizers(f"{name}:stages=layer2").attach(resnet("layer4"))


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("dropout", lambda: nn.Sequential(nn.Conv2d(1, 1, 3)), "no linear layer"),
        ("dropout:exclude=head", lenet, "no stage that is not excluded outside head"),
        ("dropblock", network, "no trained convolution"),
        ("dropblock", lambda: resnet("head"), "no trained convolution"),
        ("dropblock:stages=fc1", lenet, 'no trained convolution in "fc1"'),
        ("stochastic-depth", lenet, "no trained residual block of timm's kind"),
        ("stochastic-depth:stages=layer1.0", resnet, "after the first"),
        ("feature-delta", lambda: resnet("head"), "no trained stage before the head"),
        ("bss", lambda: resnet("head"), "no trained weights before the head"),
    ],
)
def test_nothing_to_act_on_is_an_error(name, model, message):
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.regularizers(name).attach(model())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dropout=1.5", r"p must be in \[0, 1\), not 1.5"),
        ("dropout:form=modern", "form is inverted or classic, not modern"),
        ("dropblock=-0.1", r"p must be in \[0, 1\), not -0.1"),
        ("dropblock:block=0", "block must be 1 or more, not 0"),
        ("stochastic-depth=1", r"p must be in \[0, 1\), not 1"),
        ("feature-delta=-1", "strength must be 0 or more, not -1"),
        ("feature-delta=inf", "strength must be finite, not inf"),
        ("bss=nan", "eta must be 0 or more, not nan"),
        ("bss:k=0", "k must be 1 or more, not 0"),
    ],
)
def test_bad_numbers_are_errors(name, message):
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.regularizers(name)


# --- dropout -------------------------------------------------------------------------------------


def test_both_forms_of_dropout_have_the_same_mean_up_to_their_factor():
    x = torch.full((100_000,), 2.0)
    classic = classic_dropout(x, 0.3, training=True)
    assert set(classic.tolist()) == {0.0, 2.0}
    assert classic.mean().item() == pytest.approx(1.4, abs=0.02)
    assert torch.allclose(classic_dropout(x, 0.3, training=False), torch.tensor(1.4))


@pytest.mark.parametrize(
    ("form", "values", "mean", "tested"),
    [("inverted", [0.0, 2.0], 1.0, 1.0), ("classic", [0.0, 1.0], 0.5, 0.5)],
)
def test_dropout_acts_on_what_enters_the_head(form, values, mean, tested):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(1000, 2))
    zoo.regularizers(f"dropout=0.5:form={form}").attach(model)
    seen, x = entering(model[1]), torch.ones(20, 1000)
    model[1](x)
    model.eval()[1](x)
    assert sorted(set(seen[0].flatten().tolist())) == values
    assert seen[0].mean().item() == pytest.approx(mean, abs=0.02)
    assert torch.allclose(seen[1], tested * x)


def test_classic_dropout_leaves_its_factor_in_the_weights():
    model, x = lenet().eval(), digits()
    stack = zoo.regularizers("dropout=0.5:form=classic").attach(model)
    tested, weight = model(x), model.head.weight.clone()
    stack.detach()
    assert torch.equal(model.head.weight, 0.5 * weight)
    assert torch.allclose(model(x), tested, atol=1e-6)
    stack.detach()
    assert torch.equal(model.head.weight, 0.5 * weight)


def test_classic_dropout_needs_weights_for_its_factor():
    with pytest.raises(zoo.RecipeError, match=r'"layer4" is a Sequential; take inverted'):
        zoo.regularizers("dropout:form=classic,stages=layer4").attach(resnet())


def test_dropout_acts_where_it_is_told():
    model = zoo.create("alexnet", num_classes=3, dropout=0.0).train()
    zoo.regularizers("dropout=0.5:stages=fc6+fc7,exclude=fc7").attach(model)
    sixth, seventh = entering(model.classifier[1]), entering(model.classifier[4])
    model.classifier(torch.ones(1, 256 * 6 * 6))
    assert sixth[0].eq(0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert seventh[0].eq(2 * seventh[0]).float().mean().item() < 1
    assert hooks(model) == 1 + 2  # past the dropout of its own, and the two of this test


def test_dropout_follows_its_schedule():
    model = nn.Sequential(nn.Linear(8, 2))
    stack = zoo.regularizers("dropout=0.5:schedule=warmup,steps=2").attach(model)
    seen, x = entering(model[0]), torch.ones(1, 8)
    for _ in range(3):
        model(x)
        stack.weights()
    assert torch.equal(seen[0], x)
    assert {0.0, 2.0} == set(seen[2].flatten().tolist())


# --- DropBlock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "block"), [(20, 5), (7, 7), (4, 7), (12, 2)])
def test_drop_blocks_is_the_formula(size, block):
    x = torch.randn(30, 2, size, size, dtype=torch.float64)
    torch.manual_seed(5)
    dropped = drop_blocks(x, 0.3, block)
    torch.manual_seed(5)
    side = min(block, size)
    centres = x.new_empty(30, 1, size, size).bernoulli_(0.3 / side**2)
    keep = torch.ones_like(centres)
    for n, _, i, j in centres.nonzero().tolist():
        top, left = i - side // 2, j - side // 2
        keep[n, 0, max(top, 0) : top + side, max(left, 0) : left + side] = 0
    assert 0 < keep.sum() < keep.numel()
    assert torch.allclose(dropped, x * keep * keep.numel() / keep.sum(), rtol=1e-5)


@pytest.mark.parametrize("size", [7, 14, 28])
def test_drop_blocks_drops_about_the_share_that_it_is_told(size):
    share = drop_blocks(torch.ones(2000, 1, size, size), 0.1, 7).eq(0).float().mean().item()
    assert 0.05 < share < 0.11


def test_dropblock_drops_whole_blocks_in_training_only():
    model = lenet()
    zoo.regularizers("dropblock=0.3:block=3").attach(model)
    maps, plain = entering(model.act2), model.conv2.bias
    with torch.no_grad():
        plain.fill_(100.0)  # no zeros but the dropped
    model(digits(20))
    model.eval()(digits(20))
    zero = maps[0].eq(0)
    assert zero.any() and torch.equal(zero.all(1), zero.any(1))
    assert not maps[1].eq(0).any()


def test_dropblock_chooses_the_last_stage_with_convolutions():
    model = resnet()
    stack = zoo.regularizers("dropblock:exclude=layer4").attach(model)
    assert model.layer3._forward_hooks and hooks(model) == 1
    stack.detach()
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten())
    zoo.regularizers("dropblock").attach(plain)
    assert plain[0]._forward_hooks and hooks(plain) == 1


def test_dropblock_wants_maps():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))
    zoo.regularizers("dropblock:stages=0").attach(model)
    with pytest.raises(zoo.RecipeError, match=r"no map \(N, C, H, W\) out of Sequential"):
        model(digits())


# --- stochastic depth ----------------------------------------------------------------------------


def paths(model: nn.Module) -> dict[str, float]:
    return {n: m.drop_prob for n, m in model.named_modules() if isinstance(m, DropPath)}


def test_rates_are_linear_in_depth():
    assert drop_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_rates(0.3, 1) == [0.3]
    model = resnet("layer3")
    stack = zoo.regularizers("stochastic-depth=0.7").attach(model)
    expected = {"layer3.0": 0.4, "layer3.1": 0.5, "layer4.0": 0.6, "layer4.1": 0.7}
    assert paths(model) == pytest.approx({f"{n}.drop_path": p for n, p in expected.items()})
    model.unfreeze()
    stack.attach(model)
    assert list(paths(model).values()) == pytest.approx([i / 10 for i in range(1, 8)])


def test_blocks_are_put_back_exactly():
    model = resnet()
    blocks = [m for m in model.modules() if hasattr(m, "drop_path")]
    before = [(list(vars(b)), list(b._modules), b.drop_path) for b in blocks]
    stack = zoo.regularizers("stochastic-depth").attach(model)
    stack.detach()
    after = [(list(vars(b)), list(b._modules), b.drop_path) for b in blocks]
    assert [(set(a), b, c) for a, b, c in after] == [(set(a), b, c) for a, b, c in before]


def test_blocks_with_a_drop_path_get_their_own_again():
    model = timm.create_model("test_vit", num_classes=3, drop_path_rate=0.5).eval()
    own, before = paths(model), list(model.modules())
    stack = zoo.regularizers("stochastic-depth=0.2").attach(model)
    assert max(paths(model).values()) == pytest.approx(0.2)
    assert not any(m.training for m in model.modules())
    model.train()
    stack.detach()
    assert paths(model) == own
    assert all(a is b for a, b in zip(model.modules(), before, strict=True))
    assert all(m.training for m in model.modules())


def test_a_skipped_block_is_its_shortcut():
    model, x = resnet(), torch.randn(400, 512, 1, 1).abs()
    zoo.regularizers("stochastic-depth=0.5").attach(model)
    block = model.layer4[1]
    nn.init.ones_(block.bn2.weight)
    block.eval()
    whole = block(x) - x
    block.drop_path.train()
    skipped = (block(x) == x).flatten(1).all(1)
    assert skipped.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert whole.abs().sum() > 0


def test_the_rate_follows_its_schedule_and_a_resumed_run():
    model = resnet()
    stack = zoo.regularizers("stochastic-depth=0.4:schedule=warmup,steps=4").attach(model)
    assert max(paths(model).values()) == 0
    stack.weights()
    assert max(paths(model).values()) == pytest.approx(0.1)
    again, resumed = zoo.regularizers("stochastic-depth=0.4:schedule=warmup,steps=4"), resnet()
    again.attach(resumed).load_state_dict(stack.state_dict())
    assert paths(resumed) == paths(model)


# --- feature-delta -------------------------------------------------------------------------------


def moved(model: nn.Module, by: float = 0.05) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=by)


def test_the_distance_of_maps_is_deltas():
    a, b = torch.randn(2, 4, 5, 3, 7, dtype=torch.float64).unbind()
    each = [((a[n, c] - b[n, c]).norm() ** 2 / 5 / (3 * 7)) for n in range(4) for c in range(5)]
    assert torch.allclose(map_distance(a, b), sum(each) / 4)


def test_feature_delta_is_zero_at_the_start_and_its_gradient_is_the_formulas():
    model, x = lenet(), digits()
    stack = zoo.regularizers("feature-delta=0.5").attach(model)
    assert stack.penalty() == 0
    assert step(stack, model, x) == 0
    start = copy.deepcopy(model)
    moved(model)
    value = step(stack, model, x)
    value.backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    assert stack.penalty() == value.detach()
    stack.detach()
    model.zero_grad()
    pairs = [(model.forward_until(x, s), start.forward_until(x, s)) for s in ("conv2", "fc1")]
    plain = 0.5 * sum((a - b.detach()).square().mean() for a, b in pairs)
    plain.backward()
    assert torch.allclose(value, plain)
    assert ours.keys() == {f"conv{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    for name, gradient in ours.items():
        assert torch.allclose(gradient, model.get_parameter(name).grad, atol=1e-7)


def test_feature_delta_runs_the_start_from_the_first_stage_that_trains():
    model = resnet("layer4")
    model.layer4.eval()
    stack = zoo.regularizers("feature-delta").attach(model)
    start = stack.members[0].start
    assert start.conv1.weight is model.conv1.weight
    assert start.layer4[0].conv1.weight.data_ptr() != model.layer4[0].conv1.weight.data_ptr()
    assert start.fc.weight.data_ptr() != model.fc.weight.data_ptr()
    stem, head = entering(start.conv1), entering(start.fc)
    assert step(stack, model, pictures()) == 0
    moved(model)
    whole = step(stack, model, pictures())
    assert whole > 0 and not stem and not head
    outputs = model.get_submodule("layer4")(model.forward_until(pictures(), "layer4"))
    assert stack.loss(outputs.new_zeros(()), outputs, torch.zeros(2)) > 0  # of cached activations


def test_feature_delta_falls_back_to_what_trains_before_the_head():
    stack = zoo.regularizers("feature-delta").attach(lenet().freeze_until("fc1"))
    assert {"fc1", "act3", "fc2", "act4"} >= {
        name for name, m in stack.model.named_modules() if m._forward_hooks
    }
    assert hooks(stack.model) == 3
    plain = network()
    zoo.regularizers("feature-delta").attach(plain)
    assert plain[0]._forward_hooks and not plain[2]._forward_hooks


def test_feature_delta_only_runs_the_start_to_learn():
    model = lenet()
    stack = zoo.regularizers("feature-delta").attach(model)
    seen = entering(stack.members[0].start.conv1)
    with torch.no_grad():
        model(digits())
    model.eval()(digits())
    assert not seen


def test_the_start_has_no_hooks_of_others_and_leaves_the_model_alone():
    model = lenet()
    stack = zoo.regularizers(["dropout", "feature-delta"]).attach(model)
    start = stack.members[1].start
    assert not start.head._forward_pre_hooks
    assert not any(parameter.requires_grad for parameter in start.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_start_is_the_reference_where_that_fits():
    model, x = lenet(), digits()
    reference = {n: p.detach() + 0.1 for n, p in model.named_parameters() if n != "fc1.bias"}
    reference["head.weight"] = torch.zeros(3, 84)
    stack = zoo.regularizers("feature-delta").attach(model, reference=reference)
    start = stack.members[0].start
    assert torch.equal(start.conv1.weight, model.conv1.weight + 0.1)
    assert torch.equal(start.fc1.bias, model.fc1.bias)
    assert torch.equal(start.head.weight, model.head.weight)
    assert step(stack, model, x) > 0


def test_the_start_keeps_what_is_unfrozen_later():
    model, x = resnet("layer4").eval(), pictures()
    stack = zoo.regularizers("feature-delta").attach(model)
    before = model.layer3[0].conv1.weight.detach().clone()
    model.freeze_until("layer3")
    stack.attach(model)
    moved(model)
    assert torch.equal(stack.members[0].start.layer3[0].conv1.weight, before)
    model.training = True
    assert step(stack, model, x) > 0


def test_a_resumed_run_has_the_same_start():
    model, x = resnet("layer4"), pictures()
    stack = zoo.regularizers("feature-delta").attach(model)
    moved(model)
    state = copy.deepcopy(stack.state_dict())
    saved = state["members"][0]["state"]["start"]
    assert all(name.startswith(("layer4", "fc")) for name in saved)
    assert "layer4.0.bn1.running_mean" in saved
    value = step(stack, model, x)
    stack.detach()
    later = zoo.regularizers("feature-delta").attach(model)
    later.load_state_dict(state)
    assert torch.equal(step(later, model, x), value)
    theirs = later.state_dict()["members"][0]["state"]["start"]
    assert saved.keys() == theirs.keys()
    assert all(torch.equal(saved[name], theirs[name]) for name in saved)


def test_feature_delta_computes_squares_in_float32_under_autocast():
    model = lenet()
    stack = zoo.regularizers("feature-delta").attach(model)
    moved(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert step(stack, model, digits()).dtype == torch.float32


# --- BSS -----------------------------------------------------------------------------------------


def test_bss_is_the_squares_of_the_smallest_singular_values():
    model, x = lenet(), digits(6)
    stack = zoo.regularizers("bss=0.5:k=2").attach(model)
    assert stack.penalty() == 0
    value = step(stack, model, x)
    features = model.forward_until(x, "head")
    expected = 0.5 * torch.linalg.svd(features, full_matrices=False).S[-2:].square().sum()
    assert torch.allclose(value, expected)
    assert stack.penalty() == value.detach()
    value.backward()
    gradient = model.conv1.weight.grad.clone()
    model.zero_grad()
    expected.backward()
    assert torch.allclose(gradient, model.conv1.weight.grad, atol=1e-6)
    assert model.head.weight.grad is None


def test_bss_takes_what_there_is():
    f = torch.randn(2, 5)
    assert torch.allclose(smallest_singular_values(f, 9), f.square().sum())
    stack = zoo.regularizers("bss").attach(lenet().eval())
    assert step(stack, stack.model, digits()) == 0
