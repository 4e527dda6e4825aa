"""R-Drop: against two passes by hand, and where nothing is random."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.batches import lenet, scores
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from zoo_regularizers.r_drop import divergence


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
