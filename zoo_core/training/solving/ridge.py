"""Ridge regression of classes on features, with the scores of leaving each picture out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.training.solving.calibration import Calibration, calibrated, losses
from zoo_core.training.solving.rotation import Rotation, blocks

JUDGED = 2**20  # scores at which strengths are compared: of all pictures, or of as many as it takes
NEAR = 0.25  # standard errors that the strength may be behind the best
KEPT = 2**26  # numbers of a basis that serves all strengths, half a GB; else it is made for each
FEWEST = 256  # pictures for that, however many classes there are


@dataclass(frozen=True)
class Ridge:
    """The solutions of all strengths. `sums`: Uᵀ √w y (R, C); `prior`: the mean target (C,)."""

    rotation: Rotation
    targets: Tensor
    weights: Tensor
    sums: Tensor
    prior: Tensor

    def penalty(self, strength: float) -> Tensor:
        """λ of a strength."""
        values = self.rotation.values
        return strength * values.sum().clamp(min=1e-300) / max(len(values), 1)

    def coefficients(self, strength: float) -> Tensor:
        """Weights (R, C) for features along their main axes, z V."""
        values = self.rotation.values
        return self.sums * (values.sqrt() / (values + self.penalty(strength)))[:, None]

    def left_out(
        self, which: Tensor | slice, strength: float, basis: Tensor | None = None
    ) -> Tensor:
        """The scores (n, C) that pictures get from the solution without them: exact, each alone.

        `basis`: `rotation.rows(which)`, where it is there already.

        Allen (1974): the residual of a picture left out is its residual over 1 - its leverage. The
        shares of the classes stay those of all pictures: else each class would have one picture
        less just where one of its own is judged, which tells against it what no new picture would.
        """
        basis = self.rotation.rows(which) if basis is None else basis
        values = self.rotation.values
        kept = values / (values + self.penalty(strength))
        weights, targets = self.weights[which], self.targets[which]
        scores = (basis / weights.sqrt()[:, None]) @ (self.sums * kept[:, None]) + self.prior
        share = (weights / self.weights.sum())[:, None]
        own = share + (basis.square() @ kept)[:, None]  # leverage
        rest, back = 1 / (1 - own).clamp(min=1e-9), share / (1 - share).clamp(min=1e-9)
        scores = scores * rest - self.prior * back
        toward = back - own * rest  # of its own target
        if targets.ndim == 2:
            return scores + toward * targets
        return scores.scatter_add_(1, targets[:, None], toward)


def ridge(features: Tensor, targets: Tensor, outputs: int, weights: Tensor) -> Ridge:
    rotation = Rotation(features, weights)
    sums = weights.new_zeros(outputs, len(rotation.values))
    prior = weights.new_zeros(outputs)
    for part in blocks(len(features), max(len(rotation.values), 1)):
        basis, y, roots = rotation.rows(part), targets[part], weights[part].sqrt()
        if y.ndim == 2:
            sums += (y * roots[:, None]).T @ basis
            prior += weights[part] @ y
        else:
            sums.index_add_(0, y, basis * roots[:, None])
            prior.index_add_(0, y, weights[part])
    return Ridge(rotation, targets, weights, sums.T.contiguous(), prior / weights.sum())


def chosen(fit: Ridge, outputs: int, strengths: Sequence[float]) -> tuple[float, Calibration]:
    """The strongest within a quarter of a standard error of the best, and its calibration.

    Breiman et al. (1984): what is no worse than by chance is as good, and the simpler is better.
    A whole standard error, as there, was up to two points less accurate (docs/solved-heads.md).
    """
    which = _some(fit.targets, outputs)
    targets, weights = fit.targets[which], fit.weights[which]
    fits = len(which) * len(fit.rotation.values) <= KEPT
    basis = fit.rotation.rows(which) if fits else None
    rows, found, factor = [], [], 1.0
    for strength in sorted(strengths, reverse=True):
        scores = fit.left_out(which, strength, basis)
        calibration = calibrated(scores, targets, weights, factor)
        factor = float(calibration.factor.mean())
        rows.append(losses(calibration(scores), targets) * weights / weights.mean())
        found.append((strength, calibration))
    each = torch.stack(rows)
    best = int(each.mean(1).argmin())
    more = each - each[best]
    error = more.std(1, correction=0) / math.sqrt(len(weights))
    near = (more.mean(1) <= NEAR * error).nonzero()
    return found[int(near[0])]


def _some(targets: Tensor, outputs: int) -> Tensor:
    """The pictures at which strengths are compared: all, or some evenly from all classes."""
    count, most = len(targets), max(JUDGED // outputs, FEWEST)
    if count <= most:
        return torch.arange(count, device=targets.device)
    order = targets.argsort(stable=True) if targets.ndim == 1 else torch.arange(count)
    places = torch.linspace(0, count - 1, most, dtype=torch.float64).long()
    return order[places.to(order.device)].sort().values
