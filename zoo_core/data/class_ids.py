"""Labels that are ids of something, and no class numbers from 0 on."""

from __future__ import annotations

from zoo_core.errors import DataError

HIGHEST, TIMES = 100, 10
MOST = 10_000_000  # classes; a list of more fills the memory, whatever is in it


def are_ids(highest: int, used: int) -> bool:
    """Whether `used` different numbers, up to `highest`, are too few to be class numbers.

    They are where the highest is above 100, and fewer than a tenth of those up to it are used.

    >>> are_ids(19_000, 5), are_ids(999, 120), are_ids(90, 2)
    (True, False, False)
    """
    return highest > HIGHEST and highest + 1 > TIMES * used


def ids_error(what: str, highest: int, used: int) -> DataError:
    """The error for labels that are ids."""
    return DataError(
        f"{what}: the highest class number is {highest:,}, and only {used:,} different ones occur.",
        hint="Those are ids, it seems. Number the classes from 0: "
        "number = {id: i for i, id in enumerate(sorted(set(labels)))}.",
    )
