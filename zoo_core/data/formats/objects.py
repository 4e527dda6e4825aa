"""Somebody's Dataset of (picture, class): whatever has a length and items.

What its items say is the truth. What it says beside them (`targets`, names) is a short cut, taken
where a sample of the items confirms it; and an item that says something else later is an error.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from zoo_core.data.as_picture import as_picture
from zoo_core.data.decoding import Chosen
from zoo_core.data.digests import item_digest
from zoo_core.data.formats.claims import Claim, claim_of
from zoo_core.data.formats.items import class_of, in_pairs, ones, pair
from zoo_core.data.generators import following, held_generators
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import seeded
from zoo_core.errors import DataError

SPREAD, MOST = 256, 1000  # items that are looked at: so many spread out, and of so many classes one
TWICE = 8  # items that are read twice, to see whether they are the same

Say = Callable[[str], None]


def silent(text: str) -> None:
    """Say nothing."""


def open_dataset(
    data: Any, *, skip: bool = False, say: Say = silent, name: str | None = None
) -> Pictures:
    """A Dataset as Pictures.

    `say` is told which names are not used, and why. With `skip`, an item that cannot be read is
    left out. Raises DataError for it else, for what is no class number, and where an item
    contradicts the names that there are.
    """
    name = name or type(data).__name__
    data = in_pairs(data)
    if len(data) == 0:
        raise DataError(f"The {name} is empty.")
    claim = claim_of(data)
    items = Items(data, name)
    targets, skipped = _targets(items, claim, skip)
    if not targets:
        hint = f"The first: {skipped[0]}"
        raise DataError(f"None of the {len(data)} items of the {name} can be read.", hint=hint)
    names = _confirmed_names(items, claim, targets, say)
    items.targets = targets
    _say_what_changes(items, say)
    read = Chosen(items, list(targets)) if skipped else items
    return _pictures(name, read, list(targets.values()), names, skipped)


class Items:
    """Reads the picture of each (picture, class).

    `targets`: by index, which each item must still say when it is read.
    """

    def __init__(self, data: Any, name: str) -> None:
        self.data, self.name = data, name
        self.targets: dict[int, Any] = {}

    def __call__(self, index: int) -> Any:
        picture, target = self.item(index)
        if index in self.targets and target != self.targets[index]:
            raise DataError(
                f"Item {index} of the {self.name} says class {target}, and said "
                f"{self.targets[index]} before, or in its `targets`.",
                hint="The class of an item stays the same, and `targets` holds what items say.",
            )
        return as_picture(picture, f"Item {index} of the {self.name}")

    def item(self, index: int) -> tuple[Any, Any]:
        """A picture as it comes, and its class."""
        picture, target = pair(self.raw(index), index, self.name)
        return picture, class_of(target, index, self.name)

    def raw(self, index: int) -> Any:
        """What the Dataset gives; what is random in it follows torch's seed."""
        with following(self.generators, torch.initial_seed()):
            return self.data[index]

    @functools.cached_property
    def generators(self) -> list[Any]:
        return held_generators(self.data)

    def look_again(self) -> None:
        """Generators may have been made by the first reading."""
        vars(self).pop("generators", None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "generators"}


# --- classes -------------------------------------------------------------------------------------


def _targets(items: Items, claim: Claim, skip: bool) -> tuple[dict[int, Any], list[str]]:
    """The target of each item that can be read, and why the others cannot."""
    claimed = None if skip else _usable(claim.targets, items.name)
    if claimed is not None:
        seen, _ = _read(items, _sample(claimed), skip=False)
        if all(claimed[index] == target for index, target in seen.items()):
            return dict(enumerate(claimed)), []
    return _read(items, range(len(items.data)), skip)


def _usable(claimed: Sequence[Any] | None, name: str) -> list[Any] | None:
    """Claimed targets as items have them, if they are class numbers at all."""
    try:
        return [class_of(value, i, name) for i, value in enumerate(claimed)] if claimed else None
    except DataError:
        return None


def _sample(targets: Sequence[Any]) -> list[int]:
    """The first item and the last, some spread out at random, and one of each class."""
    size, draw = len(targets), random.Random(0)
    if size <= SPREAD:
        return list(range(size))
    spread = [draw.randrange(k * size // SPREAD, (k + 1) * size // SPREAD) for k in range(SPREAD)]
    by_class = {str(target): index for index, target in enumerate(targets)}
    return sorted({0, size - 1, *spread, *list(by_class.values())[:MOST]})


def _read(items: Items, indices: Iterable[int], skip: bool) -> tuple[dict[int, Any], list[str]]:
    targets: dict[int, Any] = {}
    skipped: list[str] = []
    for index in indices:
        try:
            with seeded(0, index, numpy=True):
                item = items.raw(index)
        except Exception as error:  # a Dataset may raise anything
            fault = f"Item {index} of the {items.name} cannot be read: {_said(error)}"
            if not skip:
                raise DataError(fault) from error
            skipped.append(fault)
        else:
            _, target = pair(item, index, items.name)
            targets[index] = class_of(target, index, items.name)
    items.look_again()
    return targets, skipped


def _said(error: Exception) -> str:
    return error.message if isinstance(error, DataError) else f"{type(error).__name__}: {error}."


# --- names ---------------------------------------------------------------------------------------


def _confirmed_names(
    items: Items, claim: Claim, targets: dict[int, Any], say: Say
) -> list[str] | None:
    """The names, where they are for the numbers that items have; `say` is told why not."""
    names, why = claim.names, claim.unsure
    if names is not None and claim.named is not None:
        why = "" if _go_by(items, claim, targets) else "its items have other class numbers"
    if why:
        count = f"{len(names)} " if names else ""
        say(
            f"{items.name}: its {count}class names are not used ({why}); "
            "classes are called by their numbers."
        )
        return None
    if names is not None:
        _refuse_nameless(items.name, names, targets)
    return names


def _go_by(items: Items, claim: Claim, targets: dict[int, Any]) -> bool:
    """Whether names go by the numbers that items have, or cannot go by the others at all."""
    assert claim.named is not None and claim.names is not None
    indices = list(targets)
    places = [indices[place] for place in _sample(list(targets.values()))]
    try:
        numbers = {i: class_of(claim.named(i), i, items.name) for i in places}
    except Exception:  # what a Dataset holds for itself may be anything
        return True
    if all(number == targets[index] for index, number in numbers.items()):
        return True
    singles = [number for number in numbers.values() if isinstance(number, int)]
    return max(singles, default=0) >= len(claim.names)


def _refuse_nameless(name: str, names: list[str], targets: dict[int, Any]) -> None:
    for index, target in targets.items():
        if isinstance(target, int) and target >= len(names):
            raise DataError(
                f"Item {index} of the {name} has class number {target}, and there are names for "
                f"{len(names)}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}.",
                hint="The first class number is 0. Name all of them, or none.",
            )


# --- pictures ------------------------------------------------------------------------------------


def _say_what_changes(items: Items, say: Say) -> None:
    """Say where an item is another one each time, whatever is seeded."""
    indices = list(items.targets)
    for index in indices[:: max(len(indices) // TWICE, 1)]:
        try:
            once, again = (_digest(items, index) for _ in range(2))
        except Exception:  # it is said where it is read
            return
        if once != again:
            say(
                f"{items.name}: item {index} is another picture each time, under the same seed. So "
                "this training cannot be repeated exactly; draw from torch, numpy or random."
            )
            return


def _digest(items: Items, index: int) -> bytes:
    with seeded(0, index, numpy=True):
        return item_digest(items(index))


def _pictures(
    name: str, read: Any, targets: list[Any], names: list[str] | None, skipped: list[str]
) -> Pictures:
    multilabel = any(isinstance(target, list) for target in targets)
    size = None
    if multilabel:
        size = len(targets[0]) if isinstance(targets[0], list) else 0
        targets = [ones(target, size, i, name) for i, target in enumerate(targets)]
        if names is not None and len(names) != size:
            raise DataError(f"The {name} has {len(names)} class names and vectors of {size}.")
    return Pictures(
        name,
        read,
        targets,
        names,
        fixed=False,
        multilabel=multilabel,
        num_classes=size,
        skipped=skipped,
    )
