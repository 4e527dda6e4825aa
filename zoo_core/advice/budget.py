"""How long somebody wants to wait, and how much of that is left."""

from __future__ import annotations

import re
import time

from zoo_core.errors import RecipeError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds_of(budget: str | float) -> float:
    """A budget in seconds. Raises RecipeError for what is no time.

    >>> seconds_of("5m"), seconds_of("90"), seconds_of("1.5 h"), seconds_of(20 / 3)
    (300.0, 90.0, 5400.0, 6.666666666666667)
    """
    seconds = 0.0
    if isinstance(budget, str):
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)\s*", budget.lower())
        seconds = float(found[1]) * _UNITS.get(found[2], 0.0) if found else 0.0
    elif isinstance(budget, int | float) and not isinstance(budget, bool):
        seconds = float(min(budget, 1e12))
    if not 0 < seconds < 1e12:
        raise RecipeError(
            f"budget is a time such as 90s, 5m or 1h, not {str(budget)[:50]!r}.",
            hint="A number alone means seconds.",
        )
    return seconds


class Budget:
    """A time that runs from now on, on the clock of the wall unless `clock` is another."""

    clock = staticmethod(time.perf_counter)

    def __init__(self, seconds: float) -> None:
        self.seconds, self._start = seconds, self.clock()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self._start

    @property
    def left(self) -> float:
        """Seconds until the end, below 0 after it."""
        return self.seconds - self.spent
