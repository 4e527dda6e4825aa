"""Scores as fair probabilities: the factor, and for several labels the shift, that fit them best.

Targets are softened by 1 / N, as if one more picture had a label at random (as Platt, 1999, does
for each class): so a factor stays finite where all are right, and says how sure one can be after N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LEAST, MOST = 1e-3, 1e4  # of a factor
ENOUGH = 1e-5


@dataclass(frozen=True)
class Calibration:
    """Fair scores = scores · `factor` + `shift`: one for all classes (), or of each label (C,)."""

    factor: Tensor
    shift: Tensor

    def __call__(self, scores: Tensor) -> Tensor:
        return scores * self.factor + self.shift


def calibrated(scores: Tensor, targets: Tensor, weights: Tensor, first: float = 1.0) -> Calibration:
    """The calibration of the least weighted log-loss of scores (N, C).

    `targets`: class numbers (N,), or 0 and 1 (N, C) for several labels. `first`: a factor to begin
    with.
    """
    shares = weights / weights.sum()
    if targets.ndim == 2:
        return _platt(scores, targets, shares)
    factor = scores.new_tensor(_temperature(scores, targets, shares, first))
    return Calibration(factor, torch.zeros_like(factor))


def losses(scores: Tensor, targets: Tensor) -> Tensor:
    """The log-loss (N,) of each picture, in nats; with several labels, the mean over them."""
    if targets.ndim == 2:
        yes_no = functional.binary_cross_entropy_with_logits
        return yes_no(scores, targets, reduction="none").mean(1)
    return functional.cross_entropy(scores, targets, reduction="none")


def _temperature(scores: Tensor, targets: Tensor, shares: Tensor, factor: float) -> float:
    """The factor of softmax(factor · scores), by Newton's method inside an interval: convex."""
    soft = 1 / len(scores)
    own = (1 - soft) * scores.gather(1, targets[:, None])[:, 0] + soft * scores.mean(1)
    low, high = LEAST, MOST
    for _ in range(60):
        p = (scores * factor).softmax(1)
        expected = (p * scores).sum(1)
        slope = float(shares @ (expected - own))
        curve = float(shares @ ((p * scores.square()).sum(1) - expected.square()))
        if slope == 0:
            return factor
        low, high = (factor, high) if slope < 0 else (low, factor)
        step = factor - slope / curve if curve > 0 else high
        inside = low < step < high
        after = step if inside else (low * high) ** 0.5
        if abs(after - factor) <= ENOUGH * factor or high - low <= ENOUGH * low:
            return after
        factor = after
    return factor


def _platt(scores: Tensor, targets: Tensor, shares: Tensor) -> Calibration:
    """A logistic regression of each label on its score, by damped Newton steps of all at once."""
    soft = 1 / len(scores)
    aims = targets * (1 - soft) + soft / 2
    centre = shares @ scores
    spread = (shares @ (scores - centre).square()).sqrt()
    z = (scores - centre) / torch.where(spread > 1e-12, spread, 1.0)
    a, b = torch.zeros_like(centre), torch.logit(shares @ aims)
    constant = b.clone()
    step = torch.ones_like(a)
    before = _yes_no(z, aims, shares, a, b)
    for _ in range(60):
        da, db = _newton(z, aims, shares, a, b)
        now = _yes_no(z, aims, shares, a - step * da, b - step * db)
        better = now < before
        a, b = torch.where(better, a - step * da, a), torch.where(better, b - step * db, b)
        gain = torch.where(better, before - now, 0.0)
        before, step = torch.where(better, now, before), torch.where(better, 1.0, step / 2)
        if bool(((gain < 1e-12) & (better | (step < 1e-6))).all()):
            break
    right = (a > 0) & (spread > 1e-12)  # else its score says nothing, or the contrary
    factor = torch.where(right, a / torch.where(spread > 1e-12, spread, 1.0), 0.0)
    return Calibration(factor, torch.where(right, b - factor * centre, constant))


def _yes_no(z: Tensor, aims: Tensor, shares: Tensor, a: Tensor, b: Tensor) -> Tensor:
    logits = z * a + b
    return shares @ (functional.softplus(logits) - aims * logits)


def _newton(z: Tensor, aims: Tensor, shares: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """What a full Newton step takes from a and b of each label."""
    p = torch.sigmoid(z * a + b)
    curve, off = p * (1 - p), p - aims
    ga, gb = shares @ (off * z), shares @ off
    aa, ab, bb = shares @ (curve * z * z) + 1e-12, shares @ (curve * z), shares @ curve + 1e-12
    determinant = (aa * bb - ab * ab).clamp(min=1e-24)
    return (bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant
