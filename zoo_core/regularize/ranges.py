"""The ranges that options of regularizers have."""

from __future__ import annotations

import math


def at_least_zero(**numbers: float) -> None:
    """Raise ValueError for a strength that is negative, infinite or no number."""
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            wanted = "finite" if number == math.inf else "0 or more"
            raise ValueError(f"{name} must be {wanted}, not {number}")


def above_zero(**numbers: float) -> None:
    """Raise ValueError for a bound that is zero, negative, infinite or no number."""
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            wanted = "finite" if number == math.inf else "above 0"
            raise ValueError(f"{name} must be {wanted}, not {number}")


def a_share(**numbers: float) -> None:
    """Raise ValueError for what is not in [0, 1)."""
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} must be in [0, 1), not {number}")
