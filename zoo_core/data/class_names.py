"""Class names as people write them (`classes`, `class_to_idx`) -> a name for each number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo_core.data.class_ids import are_ids, ids_error
from zoo_core.errors import DataError

Words = dict[int, tuple[str, ...]]
"""The names of each class number, the first one first; several are synonyms."""


def class_names(data: Any) -> list[str] | None:
    """The name of each class number of a Dataset, or None where it has none.

    `class_to_idx` says which name has which number; the order of `classes` counts where it does
    not contradict. A number without a name is called by itself. Raises DataError where the names
    have no order, and for what is no name.
    """
    owner = type(data).__name__
    numbers, classes = (_given(data, attribute) for attribute in ("class_to_idx", "classes"))
    if numbers is None:
        return None if classes is None else listed(_words(classes, f"`classes` of the {owner}"))
    words = _pairs(numbers, f"`class_to_idx` of the {owner}", named_first=True)
    if isinstance(classes, list | tuple):
        ordered = _words(classes, f"`classes` of the {owner}")
        if all(set(synonyms) <= set(ordered.get(n, ())) for n, synonyms in words.items()):
            words = ordered
    return listed(words)


def in_order(names: Any, owner: str) -> tuple[str, ...]:
    """Names as a tuple by class number; `owner` stands for them in a DataError.

    >>> in_order({"cat": 1, "dog": 0}, "It"), in_order(np.array(["a", "b"]), "It")
    (('dog', 'cat'), ('a', 'b'))
    """
    return tuple(listed(_words(names, owner)))


def listed(words: Words) -> list[str]:
    """One name for each number from 0; synonyms are joined.

    >>> listed({0: ("cat", "kitten"), 2: ("dog",)})
    ['cat, kitten', '1', 'dog']
    """
    highest = max(words, default=-1)
    if are_ids(highest, len(words)):
        raise ids_error("The class names", highest, len(words))
    return [", ".join(words.get(number, (str(number),))) for number in range(highest + 1)]


def _given(data: Any, attribute: str) -> Any:
    """What stands under an attribute, if there is anything in it."""
    given = getattr(data, attribute, None)
    if given is None or callable(given):
        return None
    return None if hasattr(given, "__len__") and _length(given) == 0 else given


def _length(given: Any) -> int:
    try:
        return len(given)
    except TypeError:  # an array of no dimensions
        return 1


def _words(given: Any, what: str) -> Words:
    """The names by number, of a mapping either way round or of a list."""
    if isinstance(given, Mapping) or (hasattr(given, "items") and hasattr(given, "index")):
        return _pairs(given, what)
    if isinstance(given, set | frozenset):
        hint = "Give a list, in the order of the class numbers."
        raise DataError(f"{what} is a {type(given).__name__}, which has no order.", hint=hint)
    values = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(values, str | bytes | Iterator) or not hasattr(values, "__iter__"):
        raise DataError(
            f"{what} is no list of names but a {type(given).__name__}.",
            hint="Give a list, in the order of the class numbers.",
        )
    names = list(values)
    if all(_is_whole(name) for name in names) and names != list(range(len(names))):
        raise DataError(
            f"{what} holds numbers, {names[0]} first: names, or other numbers for the classes?",
            hint="Names are text: [str(name) for name in classes].",
        )
    return {number: _synonyms(name, what) for number, name in enumerate(names)}


def _pairs(given: Any, what: str, *, named_first: bool = False) -> Words:
    """The names by number of a mapping: name -> number, or number -> name.

    `named_first`: which of the two it is where both are numbers.
    """
    pairs = list(given.items())
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    if not isinstance(given, Mapping) and _whole(keys) and keys != list(range(len(keys))):
        hint = "Give its names as a list, in the order of the class numbers."
        raise DataError(f"{what} has an order and an index that contradict.", hint=hint)
    forward, back = _numbers(keys), _numbers(values)
    if back and (named_first or not forward):
        names: Words = {}
        for number, name in zip(back, keys, strict=True):
            names[number] = (*names.get(number, ()), *_synonyms(name, what))
        return names
    if forward and (not back or forward == back):
        return {n: _synonyms(name, what) for n, name in zip(forward, values, strict=True)}
    raise DataError(
        f"{what} does not say which is the number and which the name: {keys[0]!r}: {values[0]!r}.",
        hint='Write {"cat": 0, "dog": 1} or {0: "cat", 1: "dog"}.',
    )


def _numbers(values: Sequence[Any]) -> list[int]:
    """Class numbers, also where they are written as text; nothing where some are not."""
    if _whole(values):
        return [int(value) for value in values]
    texts = all(isinstance(v, str) and v.isascii() and v.isdigit() for v in values)
    return [int(value) for value in values] if texts else []


def _whole(values: Sequence[Any]) -> bool:
    return all(_is_whole(value) and value >= 0 for value in values)


def _is_whole(value: Any) -> bool:
    """Whether it is a number that can be a class's: 1, np.int64(1), a tensor of it, 1.0."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return False
    try:
        return bool(value == int(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _synonyms(name: Any, what: str) -> tuple[str, ...]:
    """A name, or the words of one as ImageNet has them."""
    if isinstance(name, list | tuple) and name:
        return tuple(word for part in name for word in _synonyms(part, what))
    if isinstance(name, bytes):
        name = name.decode(errors="replace")
    if isinstance(name, str) or _is_whole(name):
        return (str(name if isinstance(name, str) else int(name)),)
    raise DataError(f"{what} holds {name!r}, which is no name.", hint="Names are text.")
