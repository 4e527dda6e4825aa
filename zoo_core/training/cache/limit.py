"""How many bytes the activations on disk may take."""

from __future__ import annotations

import math
import os

from zoo_core.errors import RecipeError

LIMIT = "ZOO_CACHE_LIMIT"
DEFAULT_LIMIT = "20GB"
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}


def limit() -> int:
    """How many bytes all entries may take: ZOO_CACHE_LIMIT, else 20 GB. Raises RecipeError."""
    return parse_size(os.environ.get(LIMIT) or DEFAULT_LIMIT)


def parse_size(text: str) -> int:
    """Bytes of a size as people write it.

    >>> parse_size("1.5 GB"), parse_size("800mb"), parse_size("10")
    (1500000000, 800000000, 10)
    """
    number, unit = text.strip().upper(), "B"
    for suffix in UNITS:
        if number.endswith(suffix):
            number, unit = number.removesuffix(suffix), suffix
            break
    try:
        size = float(number) * UNITS[unit]
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise RecipeError(f'{LIMIT}="{text}" is no size.', hint="Write 20GB or 500MB.")
    return int(size)
