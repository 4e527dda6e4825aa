"""A linear classifier in closed form: ridge regression on features, as a start for training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Strengths that are tried, as multiples of the mean eigenvalue of the features.
STRENGTHS = torch.logspace(-5, 3, 33, dtype=torch.float64)


@dataclass(frozen=True)
class Solution:
    """A classifier: scores = features @ weight.T + bias, whose softmax are fair probabilities.

    `weight`: (C, D); `bias`: (C,); both float64. `strength`: λ. `accuracy`, `loss`: those of the
    leave-one-out scores, so of each picture by a classifier that has not seen it.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    accuracy: float
    loss: float


def solve(features: Tensor, targets: Tensor, classes: int) -> Solution:
    """The ridge classifier with the strength of the least leave-one-out error.

    Regresses one-hot targets on standardised features: W = argmin ‖Y - XW‖² + λ‖W‖². The score that
    each picture would get were it left out follows from one decomposition (Allen, 1974: residual
    over 1 - leverage), for every λ. The scores are then multiplied by the number that makes their
    softmax fit best. `features`: (N, D) of any type; `targets`: (N,) class numbers. Both on one
    device, where it is solved in float64. Needs N > 1.

    >>> x = torch.tensor([[0.0], [0.2], [0.9], [1.1]])
    >>> solve(x, torch.tensor([0, 0, 1, 1]), 2).accuracy
    1.0
    """
    x = features.double()
    mean, spread = x.mean(0), x.std(0, correction=0)
    varied = spread > 1e-12 * x.abs().amax(0)  # what is constant has a spread of rounding
    spread = torch.where(varied, spread, 1.0)
    x = torch.where(varied, (x - mean) / spread, 0.0)
    y = functional.one_hot(targets, classes).double()
    prior = y.mean(0)
    basis, values, directions = _decomposed(x)
    projected = basis.T @ (y - prior)
    strengths = STRENGTHS.to(x) * values.sum().clamp(min=1e-12) / max(len(values), 1)
    errors = [_left_out(basis, values, projected, y, prior, s)[1] for s in strengths]
    best = strengths[int(torch.stack(errors).argmin())]
    scores, _ = _left_out(basis, values, projected, y, prior, best)
    scale = _temperature(scores, targets)
    roots = values.sqrt()
    weight = (directions @ (projected * (roots / (values + best))[:, None])).T / spread
    bias = prior - weight @ mean
    loss = functional.cross_entropy(scores * scale, targets).item()
    accuracy = (scores.argmax(1) == targets).double().mean().item()
    return Solution(weight * scale, bias * scale, best.item(), accuracy, loss)


def _decomposed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U (N, R), s² (R,) and V (D, R) of x = U s Vᵀ, by the smaller of x xᵀ and xᵀ x."""
    small = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    values, vectors = torch.linalg.eigh(small)
    keep = values > values[-1].clamp(min=0) * 1e-12
    values, vectors = values[keep], vectors[:, keep]
    roots = values.sqrt()
    if len(x) <= x.shape[1]:
        return vectors, values, (x.T @ vectors) / roots
    return (x @ vectors) / roots, values, vectors


def _left_out(
    basis: Tensor, values: Tensor, projected: Tensor, y: Tensor, prior: Tensor, strength: Tensor
) -> tuple[Tensor, Tensor]:
    """The scores (N, C) of each row by the solution without it, and their mean squared error."""
    kept = values / (values + strength)
    fitted = prior + basis @ (projected * kept[:, None])
    leverage = 1 / len(y) + basis.square() @ kept
    residual = (y - fitted) / (1 - leverage).clamp(min=1e-9)[:, None]
    return y - residual, residual.square().mean()


def _temperature(scores: Tensor, targets: Tensor) -> float:
    """The factor that makes the softmax of scores fit best: its log-loss is convex in it.

    Where all are right it would be infinite, so it ends at 1000.
    """
    low, high = 0.0, 1000.0
    for _ in range(60):
        factor = (low + high) / 2
        expected = ((scores * factor).softmax(1) * scores).sum(1).mean()
        slope = expected - scores.gather(1, targets[:, None]).mean()
        low, high = (factor, high) if slope < 0 else (low, factor)
    return (low + high) / 2
