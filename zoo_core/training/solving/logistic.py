"""Logistic regression from the ridge solution on, with the scores of leaving each picture out.

Ridge regression aims at 0 and 1, and spends itself on pictures that are right beyond doubt. Where
there are many more pictures than features, this costs accuracy; the logistic loss has no such aim.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.training.solving.calibration import Calibration, losses
from zoo_core.training.solving.ridge import Ridge
from zoo_core.training.solving.rotation import blocks

PARAMETERS, WORK = 2000, 2e9  # no more than these: the curvature is a matrix of all parameters
WEAKER = (1.0, 10**-0.5, 10**-1, 10**-1.5)  # strengths, as multiples of that of the ridge solution
STEPS = 200


@dataclass(frozen=True)
class Refined:
    """`coefficients`: (R, C), of features along their main axes; `bias`: (C,) at their mean.

    `scores`: (N, C), of each picture left out; `losses`: (N,), theirs.
    """

    coefficients: Tensor
    bias: Tensor
    strength: float
    scores: Tensor
    losses: Tensor


def refined(fit: Ridge, strength: float, calibration: Calibration) -> Refined | None:
    """The logistic regression of the least log-loss on pictures left out, from a ridge solution.

    None where it would not pay, or take long: several labels, fewer than two pictures for each
    feature, or too many features and classes for their curvature.
    """
    rotation, outputs = fit.rotation, len(fit.prior)
    count, rank = len(fit.targets), len(rotation.values)
    parameters = (rank + 1) * outputs
    small = parameters <= PARAMETERS and count * parameters**2 <= WORK
    if fit.targets.ndim == 2 or not rank or count < 2 * rank or not small:
        return None
    unit = fit.penalty(1.0).sqrt()
    x = rotation.rows(slice(None)) * (rotation.values.sqrt() / unit) / fit.weights.sqrt()[:, None]
    x = torch.cat([x, x.new_ones(count, 1)], 1)
    start = torch.cat([fit.coefficients(strength) * unit, fit.prior[None]]) * calibration.factor
    back = _share_back(fit)
    best: Refined | None = None
    for weaker in WEAKER:
        penalty = x.new_full((rank + 1, 1), strength * weaker)
        penalty[-1] = 1e-6  # next to none for the bias
        start = _minimum(x, fit.targets, fit.weights, penalty, start)
        scores = _left_out(x, fit.targets, fit.weights, penalty, start)
        scores.scatter_add_(1, fit.targets[:, None], back[:, None])
        lost = losses(scores, fit.targets)
        loss = (lost * fit.weights).mean()
        if best is None or loss < (best.losses * fit.weights).mean():
            best = Refined(start[:-1] / unit, start[-1], strength * weaker, scores, lost)
    return best


def _share_back(fit: Ridge) -> Tensor:
    """What the score of its own class loses for each picture (N,) as that has one picture less.

    Classes keep their shares, as in `Ridge.left_out`; one of a single picture loses log 2.
    """
    shares = fit.weights / fit.weights.sum()
    left = (1 - shares / fit.prior[fit.targets]).clamp(min=0.5)
    return -left.log()


def _minimum(x: Tensor, y: Tensor, weights: Tensor, penalty: Tensor, start: Tensor) -> Tensor:
    """argmin Σ wᵢ log-loss + ½ Σ penalty · W² for W (K, C), by L-BFGS from `start`."""
    w = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=STEPS, history_size=20, tolerance_grad=1e-6, tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    ones = functional.one_hot(y, start.shape[1]).to(x)

    def closure() -> Tensor:
        logits = x @ w.detach()
        off = (logits.softmax(1) - ones) * weights[:, None]
        w.grad = x.T @ off + penalty * w.detach()
        lost = functional.cross_entropy(logits, y, reduction="none")
        return weights @ lost + 0.5 * (penalty * w.detach().square()).sum()

    optimizer.step(closure)
    return w.detach()


def _left_out(x: Tensor, y: Tensor, weights: Tensor, penalty: Tensor, w: Tensor) -> Tensor:
    """The scores (N, C) of each picture after a Newton step towards the minimum without it.

    Rad and Maleki (2020), https://arxiv.org/abs/1801.10243: with G = xᵀ H⁻¹ x (C, C) and A the
    curvature of its own loss, they move by G (I - A G)⁻¹ times the slope of its own loss.
    """
    scores = x @ w
    p = scores.softmax(1)
    width, outputs = x.shape[1], w.shape[1]
    inverse = torch.linalg.inv(_curvature(x, p, weights, penalty))
    inverse = inverse.reshape(outputs, width, outputs, width)
    eye = torch.eye(outputs, dtype=x.dtype, device=x.device)
    off = (p - functional.one_hot(y, outputs)) * weights[:, None]
    for part in blocks(len(x), width * outputs**2):
        rows, q = x[part], p[part]
        half = torch.einsum("nk,ckdl->ncdl", rows, inverse)
        g = torch.einsum("ncdl,nl->ncd", half, rows)
        own = (q[:, :, None] * eye - q[:, :, None] * q[:, None, :]) * weights[part, None, None]
        moved = torch.linalg.solve(eye - own @ g, off[part][:, :, None])
        scores[part] += (g @ moved)[..., 0]
    return scores


def _curvature(x: Tensor, p: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
    """The second derivatives (C·K, C·K) of the penalised loss."""
    width, outputs = x.shape[1], p.shape[1]
    size = outputs * width
    whole = torch.diag(penalty[:, 0].repeat(outputs))
    for part in blocks(len(x), size):
        rows, share = x[part], p[part] * weights[part, None].sqrt()
        each = (share[:, :, None] * rows[:, None, :]).reshape(len(rows), size)
        whole -= each.T @ each
    for number in range(outputs):
        block = slice(number * width, (number + 1) * width)
        whole[block, block] += x.T @ (x * (p[:, number] * weights)[:, None])
    return whole
