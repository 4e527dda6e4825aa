"""Those that act on batches, losses and passes: each against its formula, written out here."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

import zoo_core as zoo
from zoo_core.chain import run_stages
from zoo_core.testing import check_regularizer
from zoo_regularizers.confidence_penalty import entropy
from zoo_regularizers.label_smoothing import smoothing
from zoo_regularizers.r_drop import divergence
from zoo_regularizers.sam import SAM, climb

NAMES = [
    *("label-smoothing", "confidence-penalty", "mixup", "cutmix", "manifold-mixup", "r-drop"),
    *("sam", "sam:adaptive=true,rho=0.5"),
]
MIXING = ("mixup", "cutmix", "manifold-mixup")


def lenet(*, freeze_until: str | None = None) -> zoo.ZooModel:
    torch.manual_seed(0)
    model = zoo.create("lenet5").train()
    return model.freeze_until(freeze_until) if freeze_until else model


def digits(count: int = 6) -> tuple[Tensor, Tensor]:
    drawing = torch.Generator().manual_seed(1)
    x = torch.rand(count, 1, 32, 32, generator=drawing)
    return x, torch.randint(10, (count,), generator=drawing)


def scores() -> tuple[Tensor, Tensor]:
    drawing = torch.Generator().manual_seed(2)
    outputs = 3 * torch.randn(5, 4, dtype=torch.float64, generator=drawing)
    return outputs.requires_grad_(), torch.randint(4, (5,), generator=drawing)


def same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_contract(name: str) -> None:
    check_regularizer(name)


@pytest.mark.parametrize("name", ["label-smoothing", "mixup", "manifold-mixup", "r-drop", "sam"])
def test_fine_tuning_by_name(name: str) -> None:
    chosen = ["dropout", name] if name == "r-drop" else [name]
    given = {"freeze_until": "head", "epochs": 1, "out": False, "progress": False}
    assert zoo.finetune("lenet5", "digits", regularizers=chosen, **given).accuracy > 0.5


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("label-smoothing=1", r"share must be in \[0, 1\), not 1"),
        ("confidence-penalty=-1", r"beta must be 0 or more, not -1"),
        ("mixup=-1", r"alpha must be above 0, not -1"),
        ("cutmix=0", r"alpha must be above 0, not 0"),
        ("manifold-mixup:prob=1.5", r"prob must be in \[0, 1\], not 1.5"),
        ("r-drop=nan", r"alpha must be 0 or more, not nan"),
        ("sam=0", r"rho must be above 0, not 0"),
    ],
)
def test_bad_numbers_are_refused(chosen: str, message: str) -> None:
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.regularizers(chosen)


# --- label smoothing and confidence penalty ------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
def test_label_smoothing_equals_torchs(soft: bool) -> None:
    outputs, targets = scores()
    if soft:
        targets = torch.rand(5, 4, dtype=torch.float64).softmax(1)
    stack = zoo.regularizers("label-smoothing=0.3").attach(nn.Linear(2, 2))
    ours = stack.loss(functional.cross_entropy(outputs, targets), outputs, targets)
    theirs = functional.cross_entropy(outputs, targets, label_smoothing=0.3)
    assert torch.allclose(ours, theirs, atol=1e-14)
    (our_slope,), (their_slope,) = (torch.autograd.grad(loss, outputs) for loss in (ours, theirs))
    assert torch.allclose(our_slope, their_slope, atol=1e-14)


def test_confidence_penalty_takes_the_entropy_off() -> None:
    outputs, targets = scores()
    stack = zoo.regularizers("confidence-penalty=0.3").attach(nn.Linear(2, 2))
    loss = functional.cross_entropy(outputs, targets)
    ours = stack.loss(loss, outputs, targets)
    theirs = loss - 0.3 * torch.distributions.Categorical(logits=outputs).entropy().mean()
    assert torch.allclose(ours, theirs, atol=1e-14)
    (our_slope,), (their_slope,) = (
        torch.autograd.grad(each, outputs, retain_graph=True) for each in (ours, theirs)
    )
    assert torch.allclose(our_slope, their_slope, atol=1e-14)


@pytest.mark.parametrize("first", ["label-smoothing", "confidence-penalty"])
def test_terms_of_the_loss_go_in_any_order(first: str) -> None:
    outputs, targets = scores()
    loss = functional.cross_entropy(outputs, targets)
    both = {"label-smoothing", "confidence-penalty"}
    stack = zoo.regularizers([first, *(both - {first})]).attach(nn.Linear(2, 2))
    expected = functional.cross_entropy(outputs, targets, label_smoothing=0.1)
    expected = expected - 0.1 * entropy(outputs)
    assert torch.allclose(stack.loss(loss, outputs, targets), expected, atol=1e-14)


@pytest.mark.parametrize("name", ["label-smoothing=0.5", "confidence-penalty=0.5"])
def test_terms_of_the_loss_follow_their_schedule(name: str) -> None:
    outputs, targets = scores()
    stack = zoo.regularizers(f"{name}:schedule=warmup,steps=2").attach(nn.Linear(2, 2))
    loss, added = torch.zeros((), dtype=torch.float64), []
    for _ in range(3):
        added.append(stack.loss(loss, outputs, targets).item())
        stack.weights()
    assert added[0] == 0 and added[1] != 0
    assert added[2] == pytest.approx(2 * added[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_terms_of_the_loss_are_wide_enough(dtype: torch.dtype) -> None:
    """Scores of half precision, as they come from autocast."""
    outputs, targets = (scores()[0].detach()).to(dtype), scores()[1]
    with torch.autocast("cpu", torch.bfloat16):
        for term in (
            smoothing(outputs, targets, 0.1),
            entropy(outputs),
            divergence(outputs, outputs.flip(0)),
        ):
            assert term.dtype == torch.float32 and torch.isfinite(term)


# --- mixing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "theirs"), [("mixup", v2.MixUp), ("cutmix", v2.CutMix)])
def test_pictures_are_mixed_as_torchvision_does(name, theirs, dtype) -> None:
    x, y = digits()
    x = x.to(dtype)
    stack = zoo.regularizers(f"{name}=0.7:prob=1").attach(lenet())
    torch.manual_seed(3)
    ours, targets = stack.batch(x, y)
    torch.manual_seed(3)
    torch.rand(())  # whether
    expected, their_targets = theirs(alpha=0.7, num_classes=10)(x, y)
    assert torch.equal(ours, expected) and not torch.equal(ours, x)
    assert targets.dtype == dtype and torch.allclose(targets, their_targets.to(dtype))
    assert torch.allclose(targets.sum(1), torch.ones(len(y), dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_targets_of_half_pictures_go_with_the_loss(dtype: torch.dtype) -> None:
    x, y = digits()
    stack = zoo.regularizers("mixup:prob=1").attach(lenet())
    mixed, targets = stack.batch(x.to(dtype), y)
    assert mixed.dtype == dtype and targets.dtype == torch.float32
    assert torch.isfinite(functional.cross_entropy(torch.randn(6, 10).to(dtype), targets))


@pytest.mark.parametrize("name", MIXING)
def test_prob_is_how_often_a_step_is_mixed(name: str) -> None:
    torch.manual_seed(0)
    stack = zoo.regularizers(f"{name}:prob=0.25").attach(lenet())
    x, y = digits(2)
    mixed = sum(stack.batch(x, y)[1].ndim == 2 for _ in range(400))
    assert 70 < mixed < 130
    never = zoo.regularizers(f"{name}:prob=0").attach(lenet())
    assert never.batch(x, y) == (x, y)


def test_a_batch_is_mixed_once() -> None:
    x, y = digits()
    stack = zoo.regularizers(["mixup:prob=1", "cutmix:prob=1", "manifold-mixup"]).attach(lenet())
    torch.manual_seed(3)
    both = stack.batch(x, y)
    alone = zoo.regularizers("mixup:prob=1").attach(lenet())
    torch.manual_seed(3)
    assert same(both, alone.batch(x, y))
    torch.manual_seed(0)
    turns = zoo.regularizers(["mixup:prob=0.5", "cutmix:prob=1"]).attach(lenet())
    drawn = set()
    for _ in range(20):
        turns.batch(x, y)
        drawn.add(tuple(member.mixed for member in turns.members))
    assert drawn == {(True, False), (False, True)}


@pytest.mark.parametrize("name", MIXING)
def test_targets_of_several_labels_are_mixed(name: str) -> None:
    x, _ = digits()
    several = (torch.rand(6, 10) < 0.3).float()
    _, targets = zoo.regularizers(f"{name}:prob=1").attach(lenet()).batch(x, several)
    kept = several.sum()
    assert not torch.equal(targets, several) and torch.allclose(targets.sum(), kept)


@pytest.mark.parametrize("name", MIXING)
def test_classes_of_any_module_are_counted(name: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.ReLU(), nn.Linear(8, 12))
    x, y = digits()
    stack = zoo.regularizers(f"{name}:prob=1").attach(model)
    assert stack.batch(x, y)[1].shape == (6, 12)
    with pytest.raises(zoo.RecipeError, match=rf"{name}: the model has no classifier"):
        zoo.regularizers(name).attach(nn.Sequential(nn.Flatten(), nn.LayerNorm(4)))
    with pytest.raises(zoo.RecipeError, match=rf"{name}: the model has no classifier"):
        zoo.regularizers(name).attach(zoo.create("lenet5", num_classes=0))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_only_pictures_are_mixed(name: str) -> None:
    stack = zoo.regularizers(f"{name}:prob=1").attach(nn.Linear(4, 3))
    with pytest.raises(zoo.RecipeError, match=rf"{name} mixes pictures .* \(5, 4\)") as caught:
        stack.batch(torch.rand(5, 4), torch.zeros(5, dtype=torch.long))
    assert "manifold-mixup" in str(caught.value)


@pytest.mark.parametrize("name", MIXING)
def test_targets_must_fit_the_batch(name: str) -> None:
    x, y = digits()
    stack = zoo.regularizers(f"{name}:prob=1").attach(lenet())
    with pytest.raises(zoo.RecipeError, match=rf"{name} mixes targets .* \(5,\) with 6"):
        stack.batch(x, y[:5])


def test_mixed_pictures_cannot_be_cached_and_mixed_activations_can() -> None:
    changes = {
        name: zoo.regularizers(name).members[0].changes_pictures for name in (*MIXING, "r-drop")
    }
    assert changes == {"mixup": True, "cutmix": True, "manifold-mixup": False, "r-drop": False}


@pytest.mark.parametrize("name", [*MIXING, "r-drop"])
def test_nothing_is_done_to_batches_in_eval_mode(name: str) -> None:
    x, y = digits()
    model = lenet().eval()
    before = model(x)
    stack = zoo.regularizers(f"{name}{':prob=1' if name in MIXING else ''}").attach(model)
    assert stack.batch(x, y) == (x, y)
    assert torch.equal(model(x), before)
    loss = torch.zeros(())
    assert stack.loss(loss, before, y) is loss


# --- manifold mixup ------------------------------------------------------------------------------


def lambda_of(seed: int, alpha: float) -> float:
    torch.manual_seed(seed)
    torch.rand(())  # whether
    return float(torch.distributions.Beta(alpha, alpha).sample())


def by_hand(model: zoo.ZooModel, x: Tensor, stage: str, share: float) -> Tensor:
    activations = model.forward_until(x, stage)
    mixed = share * activations + (1 - share) * activations.roll(1, 0)
    names = list(model.chain)
    return run_stages(model, [model.chain[n] for n in names[names.index(stage) :]], mixed)


@pytest.mark.parametrize("stage", ["conv1", "fc1", "head"])
def test_manifold_mixup_mixes_what_enters_the_first_trained_stage(stage: str) -> None:
    x, y = digits()
    model = lenet(freeze_until=stage if stage != "conv1" else None)
    share = lambda_of(5, 0.8)
    with torch.no_grad():
        expected = by_hand(model, x, stage, share)
    stack = zoo.regularizers("manifold-mixup=0.8").attach(model)
    torch.manual_seed(5)
    same_x, targets = stack.batch(x, y)
    assert same_x is x
    one_hot = functional.one_hot(y, 10).float()
    assert torch.allclose(targets, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    for _ in range(2):  # SAM makes two passes
        assert torch.allclose(model(x), expected, atol=1e-6)
    loss = torch.zeros(())
    assert stack.loss(loss, expected, targets) is loss
    plain = copy.deepcopy(model).eval()(x)
    assert not torch.allclose(plain, expected)
    stack.gradients()
    assert torch.allclose(model(x), lenet()(x), atol=1e-6)  # the step is over
    stack.batch(x, y)
    stack.detach()
    assert torch.allclose(model(x), lenet()(x), atol=1e-6)


def test_manifold_mixup_draws_anew_for_each_part_of_a_step() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    stack.batch(x, y)
    share = lambda_of(7, 2.0)
    torch.manual_seed(7)
    stack.batch(x, y)
    model.eval()
    expected = lenet().eval()
    assert torch.equal(model(x), expected(x))
    model.train()
    assert torch.allclose(model(x), by_hand(lenet(), x, "fc1", share), atol=1e-6)


def test_manifold_mixup_leaves_other_batches_alone() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    _, targets = stack.batch(x, y)
    assert torch.allclose(model(x[:4]), lenet()(x[:4]), atol=1e-6)
    with pytest.raises(zoo.RecipeError, match=r"manifold-mixup mixed the targets of 6 inputs"):
        stack.loss(torch.zeros(()), model(x[:4]), targets)


def test_manifold_mixup_mixes_both_views_of_r_drop_alike() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")  # no dropout: both views are the same
    share = lambda_of(5, 2.0)
    expected = by_hand(lenet(), x, "fc1", share)
    for order in (["manifold-mixup", "r-drop"], ["r-drop", "manifold-mixup"]):
        stack = zoo.regularizers(order).attach(model)
        torch.manual_seed(5)
        twice, targets = stack.batch(x, y)
        outputs = model(twice)
        assert torch.allclose(outputs, torch.cat([expected, expected]), atol=1e-6)
        assert torch.equal(targets[:6], targets[6:]) and targets.shape == (12, 10)
        assert stack.loss(torch.zeros(()), outputs, targets).abs() < 1e-6
        stack.detach()


def test_manifold_mixup_acts_once_when_attached_twice_and_needs_what_trains() -> None:
    x, y = digits()
    frozen = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.Linear(8, 12))
    frozen[1].requires_grad_(False)
    hidden = frozen[:2](x)
    share = lambda_of(5, 2.0)
    stack = zoo.regularizers("manifold-mixup").attach(frozen).attach(frozen)
    torch.manual_seed(5)
    stack.batch(x, y)
    mixed = share * hidden + (1 - share) * hidden.roll(1, 0)
    ours = frozen(x)
    stack.detach()
    assert torch.allclose(ours, frozen[2](mixed), atol=1e-6)
    with pytest.raises(zoo.RecipeError, match=r"manifold-mixup has nothing to act on"):
        zoo.regularizers("manifold-mixup").attach(frozen.requires_grad_(False))


def test_manifold_mixup_finds_the_entry_of_a_stage_that_is_a_function() -> None:
    model = zoo.create("resnet18", num_classes=3).train().freeze_until("head")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    assert [len(module._forward_pre_hooks) for module in (model.fc, model.conv1)] == [1, 0]
    stack.detach()
    assert not model.fc._forward_pre_hooks


# --- R-Drop --------------------------------------------------------------------------------------


def dropping(p: float = 0.5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(p), nn.Linear(8, 4)).double().train()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p.softmax(1) * (p.softmax(1).log() - q.softmax(1).log())).sum() / len(p)


def test_r_drop_equals_two_passes_with_the_same_masks() -> None:
    model = dropping()
    x = torch.randn(3, 6, dtype=torch.float64)
    y = torch.tensor([0, 1, 2])
    stack = zoo.regularizers("r-drop=0.7").attach(model)
    twice, targets = stack.batch(x, y)
    assert torch.equal(twice, torch.cat([x, x])) and torch.equal(targets, torch.cat([y, y]))

    def closure() -> Tensor:
        outputs = model(twice)
        loss = stack.loss(functional.cross_entropy(outputs, targets), outputs, targets)
        loss.backward()
        return loss.detach()

    torch.manual_seed(9)
    loss = stack.passes(closure)
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    torch.manual_seed(9)
    masks = functional.dropout(torch.ones(6, 8, dtype=torch.float64), 0.5)
    first, second = (model[2](model[0](x) * mask) for mask in masks.chunk(2))
    ce = (functional.cross_entropy(first, y) + functional.cross_entropy(second, y)) / 2
    expected = ce + 0.7 * (kl(first, second) + kl(second, first)) / 2
    expected.backward()
    assert torch.allclose(loss, expected)
    theirs = [p.grad for p in model.parameters()]
    assert all(torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True))


def test_divergence_is_symmetric_and_zero_for_equal_views() -> None:
    first = scores()[0].detach()
    second = first.flip(0)
    assert torch.allclose(divergence(first, second), (kl(first, second) + kl(second, first)) / 2)
    assert divergence(first, first) == 0


class Stochastic(nn.Module):
    """A module that calls dropout's function, by a rate like timm's."""

    def __init__(self, drop_rate: float) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.layer = nn.Linear(6, 4)


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        (dropping(0.0), ["r-drop"]),
        (dropping().eval(), ["r-drop"]),
        (lenet(), ["r-drop", "l2"]),
        (lenet(), ["r-drop", "dropout=0"]),
        (Stochastic(0.0), ["r-drop"]),
    ],
)
def test_r_drop_needs_something_random(model: nn.Module, chosen: list[str]) -> None:
    stack = zoo.regularizers(chosen).attach(model)
    never: Callable[[], Tensor] = lambda: pytest.fail("passed")  # noqa: E731
    with pytest.raises(zoo.RecipeError, match=r"r-drop has nothing to act on: .* equal") as caught:
        stack.passes(never)
    assert 'Add "dropout"' in str(caught.value)


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        (dropping(), ["r-drop"]),
        (lenet(), ["dropout", "r-drop"]),
        (lenet(), ["r-drop", "dropout"]),
        (Stochastic(0.1), ["r-drop"]),
        (nn.MultiheadAttention(4, 2, dropout=0.1), ["r-drop"]),
    ],
)
def test_r_drop_knows_what_is_random(model: nn.Module, chosen: list[str]) -> None:
    stack = zoo.regularizers(chosen).attach(model)
    assert stack.passes(lambda: torch.ones(())) == 1


def test_r_drop_wants_both_views() -> None:
    stack = zoo.regularizers("r-drop").attach(dropping())
    stack.batch(torch.zeros(3, 6), torch.zeros(3, dtype=torch.long))
    outputs, targets = scores()
    with pytest.raises(zoo.RecipeError, match=r"two views of a batch, 6 outputs, .* are 5"):
        stack.loss(torch.zeros(()), outputs, targets)


def test_only_one_replaces_the_passes() -> None:
    with pytest.raises(zoo.RecipeError, match=r"sam and r-drop each replace the backward pass"):
        zoo.regularizers(["sam", "r-drop"])


# --- SAM -----------------------------------------------------------------------------------------


class Normed(nn.Module):
    """A frozen layer, then one with batch statistics; float64."""

    def __init__(self, momentum: float | None = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(6, 8).requires_grad_(False)
        self.norm = nn.BatchNorm1d(8, momentum=momentum)
        self.head = nn.Linear(8, 3)
        self.unused = nn.Linear(2, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.frozen(x)))


def closure_of(model: nn.Module, seed: int = 0) -> Callable[[], Tensor]:
    drawing = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 6, dtype=torch.float64, generator=drawing)
    y = torch.randint(3, (16,), generator=drawing)

    def closure() -> Tensor:
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        return loss.detach()

    return closure


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def two_passes(model: nn.Module, seed: int, rho: float, adaptive: bool, only: str = "") -> dict:
    """The gradients of SAM, pass by pass, on a copy."""
    model = copy.deepcopy(model)
    model.zero_grad()
    closure_of(model, seed)()
    chosen = [p for n, p in model.named_parameters() if p.grad is not None and n.startswith(only)]
    size = [p.detach().abs() if adaptive else torch.ones_like(p) for p in chosen]
    norm = sum(((s * p.grad) ** 2).sum() for s, p in zip(size, chosen, strict=True)) ** 0.5
    with torch.no_grad():
        for s, p in zip(size, chosen, strict=True):
            p += rho * s**2 * p.grad / norm
    model.zero_grad()
    closure_of(model, seed)()
    return gradients_of(model)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_equals_two_passes_by_hand(adaptive: bool, momentum: float | None) -> None:
    model = Normed(momentum)
    expected = two_passes(model, 0, 0.4, adaptive)
    once = copy.deepcopy(model)
    first = closure_of(once)()
    before = [p.detach().clone() for p in model.parameters()]
    stack = zoo.regularizers(f"sam=0.4:adaptive={str(adaptive).lower()}").attach(model)
    assert torch.equal(stack.passes(closure_of(model)), first)
    ours = gradients_of(model)
    assert ours.keys() == expected.keys() and "unused.weight" not in ours
    plain = gradients_of(once)
    for name, gradient in ours.items():
        assert torch.allclose(gradient, expected[name], atol=1e-14)
    assert not torch.allclose(ours["head.weight"], plain["head.weight"])
    assert same(list(model.parameters()), before)
    assert same(list(model.buffers()), list(once.buffers()))
    assert model.norm.num_batches_tracked == 1 and model.norm.momentum == momentum


def test_sam_adds_to_gradients_from_before() -> None:
    model = Normed()
    stack = zoo.regularizers("sam=0.4").attach(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    stack.attach(model, optimizer=optimizer)
    first, second = (two_passes(model, seed, 0.4, False) for seed in (0, 1))
    for seed in (0, 1):
        stack.passes(closure_of(model, seed))
    for name, gradient in gradients_of(model).items():
        assert torch.allclose(gradient, first[name] + second[name], atol=1e-14)


def test_sam_climbs_in_the_chosen_stages_only() -> None:
    model = Normed()
    expected = two_passes(model, 0, 0.4, False, only="head.")
    everywhere = two_passes(model, 0, 0.4, False)
    zoo.regularizers("sam=0.4:stages=head").attach(model).passes(closure_of(model))
    ours = gradients_of(model)
    for name, gradient in expected.items():
        assert torch.allclose(ours[name], gradient, atol=1e-14)
    assert not torch.allclose(ours["norm.weight"], everywhere["norm.weight"])


@pytest.mark.parametrize("failing", [1, 2])
def test_sam_restores_weights_when_a_pass_fails(failing: int) -> None:
    model = Normed()
    stack = zoo.regularizers("sam=0.4").attach(model)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    before = [p.detach().clone() for p in model.parameters()]
    passes = iter(range(1, 3))

    def closure() -> Tensor:
        if next(passes) == failing:
            raise KeyboardInterrupt
        return closure_of(model)()

    with pytest.raises(KeyboardInterrupt):
        stack.passes(closure)
    assert same(list(model.parameters()), before)
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    assert model.norm.num_batches_tracked == failing - 1


def test_sam_leaves_a_step_that_a_scaler_skips() -> None:
    """An infinite gradient in the first pass, and a second one that looks well."""
    model = Normed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    stack = zoo.regularizers("sam").attach(model, optimizer=optimizer, scaler=scaler)
    before = [p.detach().clone() for p in model.parameters()]
    passes = iter(range(2))

    def closure() -> Tensor:
        loss = model.head.weight.sum() + model.norm.weight.sum()
        scaler.scale(loss).backward()
        if next(passes) == 0:
            model.head.weight.grad[0, 0] = torch.inf
        return loss.detach()

    stack.passes(closure)
    scaler.unscale_(optimizer)
    stack.gradients()
    assert stack.taken == 0
    scaler.step(optimizer)
    scaler.update()
    stack.weights()
    assert same(list(model.parameters()), before) and scaler.get_scale() == 4.0
    assert all(torch.isfinite(buffer).all() for buffer in model.buffers())


def test_statistics_stay_numbers_where_the_second_pass_has_none() -> None:
    model = Normed()
    model.frozen.requires_grad_(True)
    stack = zoo.regularizers("sam").attach(model)

    def closure() -> Tensor:
        loss = closure_of(model)()
        model.frozen.weight.grad[0, 0] = torch.inf
        return loss

    stack.passes(closure)
    assert all(torch.isfinite(buffer).all() for buffer in model.buffers())
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_scaling_does_not_move_where_sam_looks() -> None:
    ours, theirs = Normed(), Normed()
    SAM(0.4).attach(ours)
    for model, scale in ((ours, 1.0), (theirs, 1024.0)):
        sam = SAM(0.4)
        sam.attach(model)

        def closure(model: nn.Module = model, scale: float = scale) -> Tensor:
            loss = closure_of(model)()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(scale)
            return loss

        sam.passes(closure)
    for a, b in zip(gradients_of(ours).values(), gradients_of(theirs).values(), strict=True):
        assert torch.allclose(1024 * a, b)


def test_autocast_around_both_passes_sees_the_moved_weights() -> None:
    """Its cache would give the second pass the weights of the first."""
    torch.manual_seed(0)
    model, x = nn.Linear(4, 3), torch.randn(8, 4)
    sam = SAM(5.0)
    sam.attach(model)
    seen = []

    def closure() -> Tensor:
        outputs = model(x)
        seen.append(outputs.detach())
        loss = functional.cross_entropy(outputs, torch.arange(8) % 3)
        loss.backward()
        return loss.detach()

    with torch.autocast("cpu", torch.bfloat16):
        sam.passes(closure)
        after = model(x)
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[0], after)


def test_climbing_a_plateau_stays_there() -> None:
    weights = [torch.ones(3), torch.ones(2, 2)]
    assert climb(weights, [torch.zeros(3), torch.zeros(2, 2)], 0.05) == 0
    assert same(weights, [torch.ones(3), torch.ones(2, 2)])


def test_sam_needs_what_trains() -> None:
    with pytest.raises(zoo.RecipeError, match=r"sam has nothing to act on: no weight trains"):
        zoo.regularizers("sam").attach(nn.Linear(2, 2).requires_grad_(False))


def test_sam_mixes_the_same_in_both_passes() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")
    stack = zoo.regularizers(["manifold-mixup", "sam"]).attach(model)
    x, y = stack.batch(x, y)
    entered = []
    handle = model.fc1.register_forward_pre_hook(lambda module, given: entered.append(given[0]))

    def closure() -> Tensor:
        outputs = model(x)
        loss = stack.loss(functional.cross_entropy(outputs, y), outputs, y)
        loss.backward()
        return loss.detach()

    stack.passes(closure)
    handle.remove()
    assert len(entered) == 2 and torch.equal(*entered)
