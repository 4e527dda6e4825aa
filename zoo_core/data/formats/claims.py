"""What a Dataset says of its classes beside its items: short cuts, which the items may contradict.

Looked into are `targets` and the like, names, and the datasets that it is made of: of a Subset, a
ConcatDataset, or whatever holds another one of the same length.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from zoo_core.data.class_names import class_names
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError

ATTRIBUTES = ("targets", "labels", "_labels", "y")  # as torchvision's sets call them
Named = Callable[[int], Any]


@dataclass(frozen=True)
class Claim:
    """`targets`: of all items, or None. `names`: by class number, or None.

    `named(i)`: which number the names go by for item i; None where nothing tells but the items.
    `unsure`: why names may be for other numbers than those of the items, though nothing tells.
    """

    targets: Sequence[Any] | None = None
    names: list[str] | None = None
    named: Callable[[int], Any] | None = None
    unsure: str = ""


def claim_of(data: Any) -> Claim:
    """What a Dataset says, and what the datasets in it say.

    Raises DataError where those in a ConcatDataset number their classes differently, and for names
    that are none.
    """
    own = _targets(data)
    names = list(data.classes or ()) if isinstance(data, Pictures) else class_names(data)
    moved = (
        "it has a target_transform" if getattr(data, "target_transform", None) is not None else ""
    )
    if names and own is not None:
        return Claim(own, names, own.__getitem__, moved)
    try:
        inner = _inner(data)
    except DataError:
        if not names:
            raise
        inner = Claim()
    if names:
        return Claim(inner.targets, names, None, moved)
    return inner if own is None else replace(inner, targets=own)


def _targets(data: Any) -> Sequence[Any] | None:
    """The targets that a Dataset holds, for as many items as it has."""
    if isinstance(data, TensorDataset):
        return data.tensors[1].tolist() if len(data.tensors) == 2 else None
    if isinstance(data, Pictures):
        return data.target_tensor().tolist()
    for attribute in ATTRIBUTES:
        held: Any = getattr(data, attribute, None)
        values = held.tolist() if hasattr(held, "tolist") else held
        if isinstance(values, list | tuple) and len(values) == len(data):
            return values
    return None


# --- of datasets in datasets ---------------------------------------------------------------------


def _inner(data: Any) -> Claim:
    if isinstance(data, Subset):
        return _chosen(claim_of(data.dataset), [int(i) for i in data.indices])
    if isinstance(data, ConcatDataset):
        parts = [claim_of(part) for part in data.datasets]
        return _joined(type(data).__name__, parts, data.cumulative_sizes)
    return _wrapped(data)


def _chosen(inner: Claim, indices: list[int]) -> Claim:
    targets, named = inner.targets, inner.named
    return replace(
        inner,
        targets=None if targets is None else [targets[i] for i in indices],
        named=None if named is None else lambda i: named(indices[i]),
    )


def _wrapped(data: Any) -> Claim:
    """Of a Dataset around another one, which may change its classes, or leave some items out."""
    held = [each for each in getattr(data, "__dict__", {}).values() if _is_dataset(each)]
    if len(held) != 1 or held[0] is data:
        return Claim()
    [inside] = held
    inner = claim_of(inside)
    if len(inside) != len(data):
        why = f"they are of a {type(inside).__name__} of another length"
        return Claim(unsure=why) if inner.names else Claim()
    return replace(inner, named=inner.named or (lambda i: inside[i][1]))


def _is_dataset(each: Any) -> bool:
    return isinstance(each, Dataset) and hasattr(each, "__len__")


def _joined(name: str, parts: list[Claim], ends: list[int]) -> Claim:
    """Of datasets one after the other. Raises DataError where they number names differently."""
    targets = None
    if all(part.targets is not None for part in parts):
        targets = [target for part in parts for target in part.targets or ()]
    unsure = next((part.unsure for part in parts if part.unsure), "")
    names: list[str] = []
    for place, part in enumerate(parts):
        theirs = part.names or []
        clash = _first_other(names, theirs)
        if clash is not None and unsure:
            return Claim(targets, unsure=unsure)
        if clash is not None:
            raise _other_numbers(name, clash, names[clash], theirs[clash], place)
        names = max(names, theirs, key=len)
    if names and not all(part.names for part in parts):
        return Claim(targets, unsure="one of its parts has no names")
    return Claim(targets, names or None, _of_parts(parts, ends), unsure)


def _first_other(names: list[str], others: list[str]) -> int | None:
    """The first number that both lists have, with two names."""
    both = range(min(len(names), len(others)))
    return next((number for number in both if names[number] != others[number]), None)


def _of_parts(parts: list[Claim], ends: list[int]) -> Named | None:
    """Which number the names go by in each part, where all of them tell."""
    told = [part.named for part in parts if part.named is not None]
    if len(told) < len(parts):
        return None

    def named(index: int) -> Any:
        place = bisect.bisect_right(ends, index)
        return told[place](index - (ends[place - 1] if place else 0))

    return named


def _other_numbers(name: str, number: int, first: str, other: str, place: int) -> DataError:
    return DataError(
        f"The parts of the {name} number their classes differently: "
        f'{number} is "{first}" in the first and "{other}" in part {place + 1}.',
        hint="Give all parts the same class_to_idx, or numbers of your own by target_transform.",
    )
