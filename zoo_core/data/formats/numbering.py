"""From labels as people write them, names or numbers, one or several, to class numbers."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zoo_core.errors import DataError, did_you_mean
from zoo_core.humanize import natural


@dataclass(frozen=True)
class Numbered:
    """Class numbers of pictures, as Pictures wants them."""

    targets: list[Any]
    classes: list[str] | None
    multilabel: bool


def numbered(labels: Sequence[Any], classes: Sequence[str] | None, name: str) -> Numbered:
    """Labels as class numbers.

    `labels`: for each picture a name or a number, or a list of such. `classes`: the names in their
    order; None: the names that occur, in natural order, and no names for numbers. `name`: what
    holds the labels, for a DataError about the first that cannot be.

    >>> numbered(["dog", "cat"], None, "own")
    Numbered(targets=[1, 0], classes=['cat', 'dog'], multilabel=False)
    >>> numbered([[0, 2], []], None, "own").targets
    [(0, 2), ()]
    """
    labels = [composed(label) for label in labels]
    several = any(isinstance(label, list) for label in labels)
    if several and not all(isinstance(label, list) for label in labels):
        raise DataError(f"{name} has single labels and lists of labels; use one of the two.")
    flat = [each for label in labels for each in label] if several else list(labels)
    if several and not flat:
        raise DataError(f"{name} has no label at all.")
    names = [composed(each) for each in classes] if classes is not None else None
    if names is None and any(isinstance(label, str) for label in flat):
        names = sorted({label for label in flat if isinstance(label, str)}, key=natural)
    _refuse_twins(flat, names or (), name)
    places = {label: number for number, label in enumerate(names or ())}
    numbers = [_number(label, places, names, name) for label in flat]
    if not several:
        return Numbered(numbers, names, multilabel=False)
    each = iter(numbers)
    targets = [tuple(sorted({next(each) for _ in label})) for label in labels]
    return Numbered(targets, names, multilabel=True)


def _refuse_twins(labels: Iterable[Any], names: Iterable[str], name: str) -> None:
    twins = {label for label, count in Counter(names).items() if count > 1}
    twin = next((label for label in labels if label in twins), None) if twins else None
    if twin is not None:
        hint = "Give class numbers as labels, or each class a name of its own."
        raise DataError(f'{name} has a label "{twin}", the name of two classes.', hint=hint)


def composed(label: Any) -> Any:
    """A name in one form of Unicode (NFC), so that what is shown alike is alike."""
    if isinstance(label, list):
        return [composed(each) for each in label]
    return unicodedata.normalize("NFC", label) if isinstance(label, str) else label


def _number(label: Any, places: dict[str, int], names: list[str] | None, name: str) -> int:
    if isinstance(label, str):
        if label in places:
            return places[label]
        known = did_you_mean(label, places)
        raise DataError(f'{name} has a label "{label}" that is no class. {known}'.strip())
    if isinstance(label, bool) or not isinstance(label, int):
        raise DataError(f"{name} has a label {label!r}, which is neither a name nor a number.")
    if label < 0 or (names is not None and label >= len(names)):
        fault = f"there are {len(names)} classes" if names is not None else "the first is 0"
        raise DataError(f"{name} has a class number {label}; {fault}.")
    return label
