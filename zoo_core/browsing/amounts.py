"""Numbers as people write them: 30M, 4.1G, 25_557_032."""

from __future__ import annotations

import re

from zoo_core.errors import ZooError

_AMOUNT = re.compile(r"([0-9]+(?:[_,][0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+) ?([kKmMgGbBtT]?)")
_UNITS = {"": 0.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}


def amount(value: str | float, unit: float = 1) -> float:
    """A positive number in units of `unit`; k, M, G (or B) and T stand for 10^3, 10^6, 10^9, 10^12.

    What has none of these letters is in units already. Raises ZooError for what is no number.

    >>> amount("30M"), amount("500M", unit=1e9), amount(4.5, unit=1e9)
    (30000000.0, 0.5, 4.5)
    """
    found = _AMOUNT.fullmatch(str(value).strip())
    number = float(re.sub("[_,]", "", found[1])) if found else 0.0
    if isinstance(value, bool) or found is None or not 0 < number < 1e300:
        shown = str(value)[:40]
        raise ZooError(f'"{shown}" is no number above 0. Write such as {_example(unit)}.')
    factor = _UNITS[found[2].lower()]
    return number * factor / unit if factor else number


def percentage(value: str | float) -> float:
    """A number above 0 and up to 100, with its sign or without. Raises ZooError for others.

    >>> percentage("78.5%"), percentage(80)
    (78.5, 80.0)
    """
    try:
        number = amount(value if isinstance(value, bool) else str(value).strip().removesuffix("%"))
    except ZooError:
        number = float("inf")
    if number > 100:
        shown = str(value)[:40]
        raise ZooError(f'"{shown}" is no percentage above 0 and up to 100. Write 80 or 78.5%.')
    return number


def _example(unit: float) -> str:
    return "4.5 or 500M" if unit > 1 else "80, 30M or 1.5G"
