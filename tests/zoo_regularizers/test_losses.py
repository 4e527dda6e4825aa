"""Label smoothing and the confidence penalty: each against its formula."""

from __future__ import annotations

import pytest
import torch
from support.batches import scores
from torch import nn
from torch.nn import functional

import zoo_core as zoo
from zoo_regularizers.confidence_penalty import entropy
from zoo_regularizers.label_smoothing import smoothing
from zoo_regularizers.r_drop import divergence


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
