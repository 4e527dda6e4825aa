"""Labels in doubt: what a head makes of a picture that it has not seen, beside what it is called.

A linear head is solved on features of all pictures, and each picture is judged by the head of all
others. Its margin is the score of its own label minus that of the best other one: below 0, the
others speak for another label (Brodley and Friedl, 1999, left pictures out in folds; here each is
left out alone, in closed form).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.training.solving.solve import Solved, solve

FEWEST_OF_A_CLASS = 3  # pictures of a class: what one is left of says little of another
SURE = 2.0  # standard errors by which the head must beat the commonest answer


@dataclass(frozen=True)
class Doubts:
    """Margins (N,), NaN where a picture is not judged, and what it is likely to be (N,).

    `likely`: the best other class; with several labels, the label that is in doubt, which it has
    where it should not, or has not. `stage`: whose features tell labels apart best; `accuracy`: of
    its head, each picture left out.
    """

    stage: str
    accuracy: float
    margins: Tensor
    likely: Tensor


def doubts(features: Mapping[str, Tensor], targets: Tensor) -> Doubts | str:
    """What is doubtful about labels, or why there is not enough to say.

    `features`: by stage, (N, D); the stage of the least log-loss, left out, judges. `targets`:
    class numbers (N,), or 0 and 1 (N, C) for several labels. Classes of less than three pictures
    are not judged.
    """
    several = targets.ndim == 2
    judged, y, numbers = _of_labels(targets) if several else _of_classes(targets)
    if len(numbers) < (1 if several else 2):
        least = "one label" if several else "two classes"
        needed = f"{least} of {FEWEST_OF_A_CLASS} pictures at least"
        return f"labels were not judged: that takes {needed}"
    best: tuple[str, Solved] | None = None
    for stage, rows in features.items():
        own = rows[judged]
        if not own.isfinite().all() or _is_flat(own):
            continue
        solved = solve(own, y, classes=len(numbers))
        if best is None or solved.left_out.loss < best[1].left_out.loss:
            best = stage, solved
    if best is None:
        return "labels were not judged: the pictures have all the same features"
    stage, solved = best
    if not _tells(solved.left_out.accuracy, y):
        return "labels were not judged: these features do not tell them apart, so that a doubt would mean nothing"  # noqa: E501
    margins = torch.full((len(targets),), math.nan, dtype=torch.float64)
    likely = torch.full((len(targets),), -1)
    if several:
        margins[judged], place = solved.left_out.margins.min(1)
    else:
        assert solved.left_out.likely is not None
        margins[judged], place = solved.left_out.margins, solved.left_out.likely
    likely[judged] = numbers[place]
    return Doubts(stage, solved.left_out.accuracy, margins, likely)


def _of_classes(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which pictures are judged, their classes numbered anew, and the numbers of those."""
    enough = targets.bincount() >= FEWEST_OF_A_CLASS
    judged = enough[targets]
    numbers = enough.nonzero()[:, 0]
    return judged, torch.searchsorted(numbers, targets[judged]), numbers


def _of_labels(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    yes = targets.sum(0)
    fewest = torch.minimum(yes, len(targets) - yes)
    numbers = (fewest >= FEWEST_OF_A_CLASS).nonzero()[:, 0]
    return torch.ones(len(targets), dtype=torch.bool), targets[:, numbers], numbers


def _is_flat(rows: Tensor) -> bool:
    return bool((rows == rows[:1]).all())


def _tells(accuracy: float, y: Tensor) -> bool:
    """Whether labels are told apart better than by the commonest answer, and not by chance."""
    if y.ndim == 2:
        shares = y.double().mean(0)
        common, count = float(torch.maximum(shares, 1 - shares).mean()), y.numel()
    else:
        common, count = float(y.bincount().max()) / len(y), len(y)
    return accuracy - common > SURE * math.sqrt(common * (1 - common) / count)
