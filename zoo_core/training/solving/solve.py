"""A linear classifier without steps: solved on features, and judged by leaving pictures out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.training.solving.calibration import losses
from zoo_core.training.solving.logistic import refined
from zoo_core.training.solving.ridge import Ridge, chosen, ridge
from zoo_core.training.solving.rotation import blocks

STRENGTHS = tuple(10 ** (power / 4) for power in range(-12, 9))  # 0.001 … 100


@dataclass(frozen=True)
class LeftOut:
    """How pictures fare by the scores that each gets from a classifier which has not seen it.

    `accuracy`: the share that is right, of pictures, or of each yes and no. `loss`: the mean
    log-loss, weighted; `losses`: (N,), of each. `margins`: (N,), the score of its own class minus
    that of `likely` (N,), the best other class: below 0 it is wrong. With several labels (N, C),
    how far each yes and no is on its own side, and `likely` is None.
    """

    accuracy: float
    loss: float
    losses: Tensor
    margins: Tensor
    likely: Tensor | None


@dataclass(frozen=True)
class Solved:
    """A classifier, scores = features @ weight.T + bias, and how pictures fare left out.

    `weight`: (C, D); `bias`: (C,); float64. The softmax of its scores is a fair probability; with
    several labels, the sigmoid. `strength`: of its penalty, in mean eigenvalues of the features;
    `logistic`: whether it is logistic regression, else ridge regression.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    logistic: bool
    left_out: LeftOut


def solve(
    features: Tensor,
    targets: Tensor,
    *,
    classes: int | None = None,
    weights: Tensor | None = None,
    strengths: Sequence[float] = STRENGTHS,
    refine: bool = True,
) -> Solved:
    """The linear classifier of the least log-loss on pictures left out.

    First W = argmin Σ wᵢ ‖yᵢ - W zᵢ - b‖² + λ‖W‖² for targets y of 0 and 1 and scaled features z
    (`rotation.py`), made into fair probabilities (`calibration.py`), with the strongest λ that
    loses next to nothing against the best (`ridge.py`). Then, where there are few
    features and many pictures, logistic regression takes its place, if it gains more than one
    standard error (`logistic.py`); not without `refine`, for features that are only compared, since
    it takes many times as long. No step is random: the same features give the same bits.

    `features`: (N, D) of any type; `targets`: class numbers (N,), or 0 and 1 (N, C) for several
    labels; `weights`: (N,) above 0, how much each picture counts. All on one device, where it is
    solved in float64. Leaving out is exact for ridge regression, given the strength, scaling,
    shares of classes and calibration of all pictures, and close for logistic regression. With many
    classes, strengths are compared on some of the pictures, evenly from all classes. Raises
    RecipeError for one picture, features that are not finite, or one class.

    >>> x = torch.tensor([[0.0], [0.2], [0.9], [1.1]])
    >>> solve(x, torch.tensor([0, 0, 1, 1])).left_out.accuracy
    1.0
    """
    several = targets.ndim == 2
    targets = targets.double() if several else targets
    outputs = targets.shape[1] if several else classes or int(targets.max()) + 1
    _refuse(features, outputs, several)
    if weights is None:
        weights = torch.ones(len(features), dtype=torch.float64, device=features.device)
    fit = ridge(features, targets, outputs, weights.double())
    strength, calibration = chosen(fit, outputs, strengths)
    plain = _judged(fit, outputs, lambda part: calibration(fit.left_out(part, strength)))
    better = refined(fit, strength, calibration) if refine else None
    if better is not None and _gains(plain.losses, better.losses, fit.weights):
        judged = _judged(fit, outputs, lambda part: better.scores[part].clone())
        weight = fit.rotation.undone(better.coefficients)
        bias = better.bias - weight @ fit.rotation.mean
        return Solved(weight, bias, better.strength, True, judged)
    weight = fit.rotation.undone(fit.coefficients(strength))
    bias = calibration(fit.prior - weight @ fit.rotation.mean)
    return Solved(weight * calibration.factor[..., None], bias, strength, False, plain)


def _gains(before: Tensor, after: Tensor, weights: Tensor) -> bool:
    """Whether the mean loss falls by more than one standard error."""
    fall = (before - after) * weights / weights.mean()
    return bool(fall.mean() > fall.std(correction=0) / math.sqrt(len(fall)))


def _refuse(features: Tensor, outputs: int, several: bool) -> None:
    if len(features) < 2:
        raise RecipeError(
            "A head cannot be solved from one picture.", hint="Give more pictures of each class."
        )
    if outputs < 2 and not several:
        raise RecipeError("A head with one class has nothing to tell apart.")
    strange = sum(
        int((~features[part].isfinite().all(1)).sum()) for part in blocks(*features.shape)
    )
    if strange:
        raise RecipeError(f"The features of {strange:,} of {len(features):,} pictures hold NaN or "
                          "infinity, so that no head can be solved.")  # fmt: skip


def _judged(fit: Ridge, outputs: int, scores_of: Callable[[slice], Tensor]) -> LeftOut:
    """How pictures fare by the scores (n, C) of `scores_of`, which are overwritten."""
    several = fit.targets.ndim == 2
    # What is kept is there before the first block: small pieces between the blocks would hold on to
    # the memory of each of them.
    each, right = torch.empty_like(fit.weights), 0.0
    margins = torch.empty_like(fit.targets if several else fit.weights)
    likely = torch.empty_like(each, dtype=torch.long)
    for part in blocks(len(fit.targets), outputs):
        scores, y = scores_of(part), fit.targets[part]
        each[part] = losses(scores, y)
        if several:
            margins[part] = torch.where(y > 0.5, scores, -scores)
            right += float(((scores > 0) == (y > 0.5)).double().mean(1).sum())
            continue
        right += float((scores.argmax(1) == y).sum())
        own = scores.gather(1, y[:, None])[:, 0]
        top = scores.scatter_(1, y[:, None], -math.inf).max(1)
        margins[part], likely[part] = own - top.values, top.indices
    loss = float((each * fit.weights).sum() / fit.weights.sum())
    return LeftOut(right / len(each), loss, each, margins, None if several else likely)
