"""Patterns of shards with ranges of numbers: `train-{000..009}.tar`."""

from __future__ import annotations

import math
import re

from zoo_core.errors import DataError
from zoo_core.humanize import readable_name

MOST_SHARDS = 100_000
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def ranged(pattern: str) -> list[str]:
    """A pattern for each number of each `{000..009}`, with as many digits. Raises DataError.

    >>> ranged("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    span = RANGE.search(pattern)
    if span is None:
        return [pattern]
    if _count(pattern) > MOST_SHARDS:
        raise DataError(
            f"{readable_name(pattern)[:200]} names more than {MOST_SHARDS:,} shards.",
            hint="{FIRST..LAST} is for those that are there; * stands for any.",
        )
    numbers = range(int(span[1]), int(span[2]) + 1)
    filled = (f"{number:0{len(span[1])}d}" for number in numbers)
    head, tail = pattern[: span.start()], pattern[span.end() :]
    return [name for number in filled for name in ranged(head + number + tail)]


def _count(pattern: str) -> float:
    """How many shards a pattern names."""
    spans = RANGE.findall(pattern)
    if any(max(len(first), len(last)) > 9 for first, last in spans):
        return math.inf
    return math.prod(max(int(last) - int(first) + 1, 0) for first, last in spans)
