"""Somebody's Dataset of (picture, class): whatever has a length and items."""

from __future__ import annotations

from typing import Any

from zoo_core.data.decoding import Chosen
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError


def open_dataset(data: Any, *, skip: bool = False) -> Pictures:
    """A Dataset as Pictures.

    Its classes are from `classes` or `class_to_idx`, its targets from `targets` or by reading it.
    An item that cannot be read for that is left out with `skip`, else it raises DataError.
    """
    name = type(data).__name__
    if len(data) == 0:
        raise DataError(f"The {name} is empty.")
    targets = getattr(data, "targets", None)
    if targets is not None and len(targets) == len(data):
        numbers = targets.tolist() if hasattr(targets, "tolist") else targets
        return _pictures(data, First(data), [_class(t, i, name) for i, t in enumerate(numbers)])
    read, skipped = _read_targets(data, name, skip)
    if not read:
        hint = f"The first: {skipped[0]}"
        raise DataError(f"None of the {len(data)} items of the {name} can be read.", hint=hint)
    reader = Chosen(First(data), list(read)) if skipped else First(data)
    return _pictures(data, reader, list(read.values()), skipped)


def _read_targets(data: Any, name: str, skip: bool) -> tuple[dict[int, Any], list[str]]:
    """The target of each item that can be read, and why the others cannot."""
    targets: dict[int, Any] = {}
    skipped: list[str] = []
    for index in range(len(data)):
        try:
            item = data[index]
        except Exception as error:  # a Dataset may raise anything
            fault = f"Item {index} of the {name} cannot be read: {_said(error)}"
            if not skip:
                raise DataError(fault) from error
            skipped.append(fault)
            continue
        try:
            _, target = item
        except (TypeError, ValueError) as error:
            raise _no_item(index, name) from error
        targets[index] = _class(target, index, name)
    return targets, skipped


def _said(error: Exception) -> str:
    return error.message if isinstance(error, DataError) else f"{type(error).__name__}: {error}."


def _class(target: Any, index: int, name: str) -> int | list[int]:
    """A class number, or the numbers for which a vector holds 1."""
    values = target.tolist() if hasattr(target, "tolist") else target
    try:
        if isinstance(values, list | tuple) and len(values) != 1:
            return [_whole(value) for value in values]
        return _whole(values[0] if isinstance(values, list | tuple) else values)
    except (TypeError, ValueError) as error:
        raise _no_item(index, name) from error


def _whole(value: Any) -> int:
    if value != int(value):
        raise ValueError("a share of a class is no class")
    return int(value)


def _no_item(index: int, name: str) -> DataError:
    hint = "For several classes, give a vector of 0 and 1, one for each class."
    return DataError(f"Item {index} of the {name} is no (picture, class number).", hint=hint)


def _pictures(
    data: Any, read: Any, targets: list[Any], skipped: list[str] | None = None
) -> Pictures:
    name, names = type(data).__name__, _names(data)
    multilabel = any(isinstance(target, list) for target in targets)
    size = None
    if multilabel:
        size = len(targets[0]) if isinstance(targets[0], list) else 0
        targets = [_ones(target, size, i, name) for i, target in enumerate(targets)]
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
        skipped=skipped or (),
    )


def _ones(target: Any, size: int, index: int, name: str) -> list[int]:
    """Where a vector of 0 and 1 holds 1."""
    vector = isinstance(target, list) and len(target) == size > 0
    if not vector or not set(target) <= {0, 1}:
        raise DataError(
            f"Item {index} of the {name} has no vector of {size} numbers that are 0 or 1.",
            hint="Give one class number to each picture, or such a vector to all.",
        )
    return [number for number, value in enumerate(target) if value]


def _names(data: Any) -> list[str] | None:
    if getattr(data, "classes", None):
        return [str(name) for name in data.classes]
    numbers = getattr(data, "class_to_idx", None)
    return sorted(numbers, key=numbers.__getitem__) if numbers else None


class First:
    """Reads the picture of each (picture, class)."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self, index: int) -> Any:
        return self.data[index][0]
