"""When to stop: patience, and the three classes of rules of Prechelt (1998)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any


class Course:
    """The errors of the validations so far, the training losses before them, and the best."""

    def __init__(
        self,
        errors: Sequence[float] = (),
        losses: Sequence[float] = (),
        best: float = math.inf,
        waited: int = 0,
    ) -> None:
        self.errors, self.losses = list(errors), list(losses)
        self.best, self.waited = best, waited

    def add(self, error: float, loss: float, min_delta: float) -> bool:
        """Note a validation; whether it is the best, by a share `min_delta` of the best so far."""
        self.errors.append(error)
        self.losses.append(loss)
        margin = 0.0 if math.isinf(self.best) else min_delta * abs(self.best)
        improved = error < self.best - margin
        self.best, self.waited = (error, 0) if improved else (self.best, self.waited + 1)
        return improved

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def generality_loss(errors: Sequence[float]) -> float:
    """GL(t) = 100·(E(t)/min E - 1), in percent: how far the last error is above the lowest.

    >>> round(generality_loss([1.0, 0.5, 0.55]), 6)
    10.0
    """
    lowest = min(errors)
    if lowest == 0:
        return math.inf if errors[-1] > 0 else 0.0
    return 100 * (errors[-1] / lowest - 1)


def progress(losses: Sequence[float]) -> float:
    """P_k = 1000·(mean/min - 1) over a strip of k training losses: how much they still move.

    >>> round(progress([1.1, 1.0, 0.9]), 6)
    111.111111
    """
    lowest = min(losses)
    mean = sum(losses) / len(losses)
    return 1000 * (mean / lowest - 1) if lowest else math.inf


def by_patience(course: Course, patience: int, alpha: float, strip: int) -> bool:
    """As many validations without improvement as one is patient."""
    return course.waited >= patience


def gl(course: Course, patience: int, alpha: float, strip: int) -> bool:
    """GL_α: the generality loss is above α percent (5 by default)."""
    return generality_loss(course.errors) > (alpha or 5.0)


def pq(course: Course, patience: int, alpha: float, strip: int) -> bool:
    """PQ_α: at the end of a strip, generality loss over progress is above α (0.75 by default)."""
    if len(course.errors) % strip:
        return False
    loss, moving = generality_loss(course.errors), progress(course.losses[-strip:])
    return loss > (alpha or 0.75) * moving


def up(course: Course, patience: int, alpha: float, strip: int) -> bool:
    """UP_s: the error at the end of a strip rose s times in a row; s is the patience."""
    ends = course.errors[strip - 1 :: strip]
    if len(course.errors) % strip or len(ends) <= patience:
        return False
    last = ends[-patience - 1 :]
    return all(later > earlier for earlier, later in itertools.pairwise(last))


RULES: dict[str, Callable[[Course, int, float, int], bool]] = {
    "patience": by_patience,
    "gl": gl,
    "pq": pq,
    "up": up,
}
