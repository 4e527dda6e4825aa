"""Models in an order: by name, size, cost or accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoo_core.browsing.row import Row
from zoo_core.errors import UnknownName, did_you_mean
from zoo_core.humanize import natural

HIGHEST_FIRST = {"top1"}
SORTS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: natural(row.name),
    "params": lambda row: row.model.params,
    "gmacs": lambda row: row.gmacs,
    "top1": lambda row: row.top1,
    "input": lambda row: row.side,
}

SYNONYMS = {
    **dict.fromkeys(("accuracy", "acc", "acc1", "top-1"), "top1"),
    **dict.fromkeys(("flops", "macs", "multiply-adds"), "gmacs"),
    **dict.fromkeys(("parameters", "size"), "params"),
}


def ordered(rows: Sequence[Row], sort: str | None) -> list[Row]:
    """Rows by a key of SORTS: the best or smallest first, with `-` in front the other way round.

    What has no such figure comes last; so do, before it, figures on other data than most rows
    have, which cannot be compared. Raises UnknownName.

    >>> from zoo_core.plugins.catalogue import catalogue
    >>> rows = [Row(model, model.default_weights) for model in catalogue().models("resnet50*")]
    >>> [row.name for row in ordered(rows, "-params")]
    ['resnet50d', 'resnet50']
    """
    if sort is None:
        return list(rows)
    key = sort_key(sort)
    value, backwards = SORTS[key], (key in HIGHEST_FIRST) != sort.startswith("-")
    told = [row for row in rows if value(row) is not None]
    told.sort(key=value, reverse=backwards)
    if key == "top1":
        most = most_measured(told)
        told.sort(key=lambda row: row.data != most)
    return told + [row for row in rows if value(row) is None]


def sort_key(sort: str) -> str:
    """The key of SORTS that `sort` names, with or without `-`. Raises UnknownName."""
    key = sort.removeprefix("-")
    if key not in SORTS:
        near = did_you_mean(key, SORTS, SYNONYMS) or f"There are: {', '.join(SORTS)}."
        raise UnknownName(f'Models are not sorted by "{key[:40]}". {near}')
    return key


def most_measured(rows: Iterable[Row]) -> str:
    """The data that most rows were measured on, or nothing."""
    counted = Counter(row.data for row in rows if row.data).most_common(1)
    return counted[0][0] if counted else ""
