"""Penalties on weights and changes of gradients: each against its plain twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_loop import step
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import zoo_core as zoo
from zoo_regularizers.l1 import soft_threshold_
from zoo_regularizers.pieces import pieces
from zoo_regularizers.rows import Rows

LR = 0.3

Penalty = Callable[[list[Tensor]], Tensor]


def rows(weight: Tensor) -> Tensor:
    return weight.flatten(1)


def l2(weights: list[Tensor]) -> Tensor:
    return 0.03 * sum((w**2).sum() for w in weights)


def l1(weights: list[Tensor]) -> Tensor:
    return 0.03 * sum(w.abs().sum() for w in weights)


def elastic_net(weights: list[Tensor]) -> Tensor:
    return l1(weights) + 0.2 * sum((w**2).sum() for w in weights)


def group_lasso(weights: list[Tensor]) -> Tensor:
    return 0.03 * sum((w[0].numel() ** 0.5) * rows(w).norm(dim=1).sum() for w in weights)


def l2_sp(weights: list[Tensor]) -> Tensor:
    return 0.25 / 2 * sum(((w - 1) ** 2).sum() for w in weights)


def orthogonal(weights: list[Tensor]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for weight in weights:
        w = rows(weight)
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        total = total + 0.03 * ((gram - torch.eye(len(gram), dtype=w.dtype)) ** 2).sum()
    return total


SMOOTH: dict[str, Penalty] = {
    "l2=0.03": l2,
    "l2-sp=0.25": l2_sp,
    "orthogonal=0.03": orthogonal,
}
PROXIMAL: dict[str, Penalty] = {
    "l1=0.03": l1,
    "elastic-net:l1=0.03,l2=0.2": elastic_net,
    "group-lasso=0.03": group_lasso,
}

shapes = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=4,
)


class Weights(nn.Module):
    """Weights of some shapes, a bias, and a frozen weight; float64."""

    def __init__(self, some: list[tuple[int, ...]], seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        for i, shape in enumerate(some):
            weight = torch.randn(shape, generator=draw, dtype=torch.float64)
            self.register_parameter(f"w{i}", nn.Parameter(weight))
        self.bias = nn.Parameter(torch.randn(3, generator=draw, dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(2, 2, dtype=torch.float64), requires_grad=False)

    def decayed(self) -> list[Tensor]:
        return [p for n, p in self.named_parameters() if n.startswith("w")]

    def ones(self) -> dict[str, Tensor]:
        return {name: torch.ones_like(p) for name, p in self.named_parameters()}


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=25, deadline=None)
@given(some=shapes)
def test_smooth_penalties_equal_autograd(name: str, some: list[tuple[int, ...]]) -> None:
    ours, twin = Weights(some), Weights(some)
    stack = zoo.regularizers(name).attach(ours, reference=ours.ones())
    for parameter in ours.parameters():
        parameter.grad = torch.zeros_like(parameter)
    stack.gradients()
    penalty = SMOOTH[name](twin.decayed())
    penalty.backward()
    assert torch.allclose(stack.penalty().double(), penalty)
    for a, b in zip(ours.decayed(), twin.decayed(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-12)
    assert not ours.bias.grad.any() and not ours.frozen.grad.any()


@pytest.mark.parametrize("name", PROXIMAL)
@settings(max_examples=25, deadline=None)
@given(some=shapes)
def test_proximal_steps_are_where_autograd_finds_the_least(
    name: str, some: list[tuple[int, ...]]
) -> None:
    """0 is in the subdifferential of ½‖z-w‖² + lr·P(z) at z: what autograd gives off the zeros."""
    ours, start = Weights(some), Weights(some)
    optimizer = torch.optim.SGD(ours.parameters(), lr=LR)
    stack = zoo.regularizers(name).attach(ours, optimizer=optimizer)
    stack.weights()
    assert torch.allclose(stack.penalty().double(), PROXIMAL[name](ours.decayed()).detach())
    twin = [w.detach().clone().requires_grad_() for w in ours.decayed()]
    pairs = zip(twin, start.decayed(), strict=True)
    distance = sum(((z - w.detach()) ** 2).sum() for z, w in pairs) / 2
    (distance + LR * PROXIMAL[name](twin)).backward()
    for weight in twin:
        moved = weight.detach() != 0
        assert torch.allclose(weight.grad[moved], torch.zeros_like(weight.grad[moved]), atol=1e-12)
    assert torch.equal(ours.bias, start.bias) and torch.equal(ours.frozen, start.frozen)


@pytest.mark.parametrize("threshold", [0.7, torch.tensor(0.7, dtype=torch.float64)])
def test_the_lassos_soft_threshold(threshold: float | Tensor) -> None:
    weight = torch.linspace(-2, 2, 41, dtype=torch.float64)
    expected = weight.sign() * (weight.abs() - 0.7).clamp(min=0)
    soft_threshold_([weight], threshold)
    assert torch.equal(weight, expected)
    assert (weight == 0).sum() == 15


def test_l1_makes_true_zeros_and_group_lasso_whole_rows_of_them() -> None:
    for name, count in (("l1=1", lambda w: (w == 0).sum()), ("group-lasso=1", empty_rows)):
        model = Weights([(40, 5)])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.8)
        zoo.regularizers(name).attach(model, optimizer=optimizer).weights()
        assert 3 <= count(model.w0)


def empty_rows(weight: Tensor) -> Tensor:
    return (weight == 0).all(dim=1).sum()


@settings(max_examples=25, deadline=None)
@given(some=shapes)
def test_max_norm_equals_renorm(some: list[tuple[int, ...]]) -> None:
    ours, twin = Weights(some), Weights(some)
    zoo.regularizers("max-norm=1.2").attach(ours).weights()
    for a, b in zip(ours.decayed(), twin.decayed(), strict=True):
        bounded = torch.renorm(b.detach(), 2, 0, 1.2)
        assert torch.allclose(a, bounded, atol=1e-6)
        assert (rows(a).norm(dim=1) <= 1.2 + 1e-12).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stacked", [False, True])
def test_rows_are_the_same_stacked_and_one_by_one(layout: torch.memory_format, stacked: bool):
    """The GPU's way, by stacks of one shape, gives what a plain loop does, on any layout."""
    torch.manual_seed(0)
    some = [torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2), torch.randn(5, 2, 3, 3)]
    ours = [weight.clone().contiguous(memory_format=layout) for weight in some]
    together = Rows(ours, stacked=stacked)
    norms = together.norms()
    by_hand = {weight[i].flatten().norm() for weight in some for i in range(len(weight))}
    assert torch.allclose(norms.sort().values, torch.stack(list(by_hand)).sort().values)
    together.scale_(1 / norms)
    for mine, weight in zip(ours, some, strict=True):
        assert torch.allclose(mine, weight / rows(weight).norm(dim=1)[:, None, None, None])
        assert mine.is_contiguous(memory_format=layout)


def test_pieces_on_a_gpu_hold_a_share_and_lose_nothing() -> None:
    weights = [torch.zeros(n, device="meta") for n in (5, 1, 1, 4, 8, 1)]
    cut = [len(piece) for (piece,) in pieces(weights)]
    assert cut == [1, 3, 1, 1]
    held = [torch.zeros(n) for n in (5, 1)]
    assert [len(piece) for (piece,) in pieces(held)] == [1, 1]


class Launches(TorchDispatchMode):
    """Counts operations that are no views: on a GPU, each is about one launch."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["l1", "l2", "l2-sp", "elastic-net", "max-norm", "group-lasso"])
def test_a_resnet50_takes_few_launches(name: str) -> None:
    """By the GPU's way through the code, on tensors without data; 54 weights of 22 shapes."""
    model = zoo.create("resnet50").to("meta")
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    start = {name: p.detach() for name, p in model.named_parameters()}
    stack = zoo.regularizers(name).attach(model, optimizer=optimizer, reference=start)
    with Launches() as launches:
        stack.gradients()
        stack.weights()
    shapes = len({p.shape for p in model.parameters() if p.ndim >= 2})
    rowwise = name in ("max-norm", "group-lasso")
    assert 1 <= launches.count <= (3 * shapes + 12 if rowwise else 12), launches.count


def stepped(name: str, *, micro: int = 1, steps: int = 4) -> nn.Module:
    """A short training of a network without batch statistics, with micro-batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    stack = zoo.regularizers(name).attach(model, optimizer=optimizer)
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(16, 12, dtype=torch.float64, generator=draw)
        y = torch.randint(3, (16,), generator=draw)
        step(model, optimizer, stack, x, y, micro=micro)
    with stack.evaluating():
        stack.validation({"loss": 1.0, "accuracy": 0.5})
    stack.detach()
    return model


EVERY_STEP = [
    *("l1=0.01", "l2=0.01", "elastic-net", "group-lasso=0.01", "l2-sp", "max-norm=0.5"),
    *("orthogonal", "gradient-clip=0.1", "agc", "gradient-noise", "ema=0.5", "swa:every=1,start=1"),
    *("label-smoothing", "confidence-penalty", "early-stopping"),
]


@pytest.mark.parametrize("name", EVERY_STEP)
def test_gradient_accumulation_changes_nothing(name: str) -> None:
    whole, parts = stepped(name), stepped(name, micro=4)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in EVERY_STEP if not name.startswith("early")])
def test_each_changes_what_is_trained(name: str) -> None:
    """So that none of the tests above compares nothing with nothing."""
    plain, ours = stepped("early-stopping:restore=false"), stepped(name)
    assert any(
        not torch.allclose(a, b, atol=1e-9)
        for a, b in zip(plain.parameters(), ours.parameters(), strict=True)
    )


def test_gradient_clip_by_norm_and_by_value() -> None:
    for name, norm in (("gradient-clip=0.5", 0.5), ("gradient-clip:value=0.01", None)):
        model = Weights([(3, 4)])
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        zoo.regularizers(name).attach(model).gradients()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if norm is None:
            assert all((g == 0.01).all() for g in gradients)
        else:
            total = torch.stack([g.norm() for g in gradients]).norm()
            assert total.item() == pytest.approx(norm, rel=1e-4)


def test_agc_bounds_each_unit_by_its_weights() -> None:
    model = Weights([(3, 4)])
    model.w0.grad = torch.full_like(model.w0, 100.0)
    zoo.regularizers("agc=0.02").attach(model).gradients()
    bounds = 0.02 * model.w0.detach().norm(dim=1)
    assert torch.allclose(model.w0.grad.norm(dim=1), bounds)


def test_gradient_noise_fades_and_follows_its_seed() -> None:
    def added(steps: int, seed: int) -> Tensor:
        model = Weights([(200, 200)])
        stack = zoo.regularizers(f"gradient-noise:eta=0.04,seed={seed}").attach(model)
        for _ in range(steps):
            model.w0.grad = torch.zeros_like(model.w0)
            stack.gradients()
        return model.w0.grad

    assert added(1, 0).std().item() == pytest.approx(0.2, rel=0.02)
    assert added(11, 0).std().item() == pytest.approx((0.04 / 11**0.55) ** 0.5, rel=0.02)
    assert torch.equal(added(3, 1), added(3, 1)) and not torch.equal(added(3, 1), added(3, 2))


def test_a_schedule_moves_the_strength() -> None:
    model = Weights([(2, 2)])
    stack = zoo.regularizers("l2=1:schedule=linear,steps=4").attach(model)
    seen = []
    for _ in range(6):
        model.w0.grad = torch.zeros_like(model.w0)
        stack.gradients()
        seen.append((model.w0.grad / model.w0.detach()).mean().item() / 2)
        stack.weights()
    assert seen == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])


def test_stages_and_exclude_choose_where() -> None:
    model = zoo.create("lenet5", pretrained=True)
    only = zoo.regularizers("l2:stages=conv2+fc1").attach(model).members[0]
    rest = zoo.regularizers("l2:exclude=conv2+head").attach(model).members[0]
    assert list(only.decayed) == ["conv2.weight", "fc1.weight"]
    assert list(rest.decayed) == ["conv1.weight", "fc1.weight", "fc2.weight"]
    plain = zoo.regularizers("l2:stages=1").attach(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    assert list(plain.members[0].decayed) == ["1.weight"]


@pytest.mark.parametrize(
    "name",
    ["l1", "l2", "elastic-net", "group-lasso", "l2-sp", "max-norm", "orthogonal"],
)
def test_nothing_to_act_on_is_said(name: str) -> None:
    model = zoo.create("lenet5", pretrained=True).freeze_until("head")
    told = rf"{name} has nothing to act on: no weight trains in conv1"
    with pytest.raises(zoo.RecipeError, match=told):
        zoo.regularizers(f"{name}:stages=conv1").attach(model)
    with pytest.raises(zoo.UnknownName, match=r'No stage "conv9".*Closest: "conv'):
        zoo.regularizers(f"{name}:stages=conv9").attach(model)


def test_l2_sp_keeps_one_copy_and_takes_in_what_is_unfrozen_later() -> None:
    model = zoo.create("lenet5", pretrained=True).freeze_until("head")
    stack = zoo.regularizers("l2-sp=1").attach(model)
    own = stack.state_dict()["members"][0]["state"]["start"]
    assert list(own) == ["head.weight"]
    start = model.fc2.weight.detach().clone()
    model.unfreeze().freeze_until("fc2")
    stack.attach(model)
    with torch.no_grad():
        model.fc2.weight.add_(1)
    model.fc2.weight.grad = torch.zeros_like(model.fc2.weight)
    stack.gradients()
    assert torch.allclose(model.fc2.weight.grad, model.fc2.weight - start)


def test_gradients_that_are_still_scaled_are_an_error() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    stack = zoo.regularizers("l2").attach(model, optimizer=optimizer, scaler=scaler)
    scaler.scale(model(torch.ones(1, 2)).sum()).backward()
    with pytest.raises(zoo.RecipeError, match=r"The gradients are still scaled"):
        stack.gradients()
