"""How the strength of a regularizer moves with the steps of the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]

# From the share of the way, in [0, 1], to a factor.
SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "warmup": lambda share: share,
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}


def scheduled(shape: str | Schedule, steps: int = 0) -> Schedule:
    """From the number of steps done to the factor of the strength.

    `shape`: `constant`; `warmup`, from 0 to 1 over `steps`; `linear` or `cosine`, from 1 to 0 over
    `steps`; or a function of one's own. Raises ValueError.

    >>> [scheduled("linear", 4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    if callable(shape):
        return shape
    if shape not in SHAPES:
        raise ValueError(f"schedule is {', '.join(SHAPES)}, not {shape!r}")
    if shape == "constant":
        if steps:
            raise ValueError(f"steps={steps} needs a schedule")
        return _constant
    if steps < 1:
        raise ValueError(f"schedule={shape} needs steps, 1 or more")
    curve = SHAPES[shape]
    return lambda done: curve(min(done / steps, 1.0))


def _constant(done: int) -> float:
    return 1.0
