"""SAM: against two passes by hand, with scalers, autocast, and a pass that fails."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from support.batches import digits, lenet, same
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from zoo_regularizers.sam import SAM, climb


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
