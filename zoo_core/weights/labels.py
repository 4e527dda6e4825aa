"""Class names: of a label set by name (`imagenet-1k`), of a text file, or as a list."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from zoo_core.errors import DataError, did_you_mean
from zoo_core.files import text
from zoo_core.humanize import readable_name

# what timm calls them; it takes other spellings of these, too
LABEL_SETS = (
    *("imagenet-1k", "imagenet-12k", "imagenet-21k-goog", "imagenet-21k-miil"),
    *("imagenet-22k", "imagenet-22k-ms"),
)
LARGEST = 4 * 2**20  # bytes of a file of names; those of ImageNet-22k are a fifth of it


def label_names(labels: str | tuple[str, ...] | None, count: int | None) -> tuple[str, ...] | None:
    """The class names in order, or None where they are unknown or are not `count`.

    >>> label_names(("cat", "dog"), 2)
    ('cat', 'dog')
    >>> label_names("imagenet-1k", 1000)[281]
    'tabby, tabby cat'
    """
    names = _label_set(labels) if isinstance(labels, str) else labels
    return names if names and (count is None or len(names) == count) else None


def chosen_labels(labels: str | Path | Sequence[str]) -> tuple[str, ...]:
    """The class names that a person gives: a label set, a text file with a name a line, or a list.

    Raises DataError for a file that is not there or is no text, and for an empty or a double name.

    >>> chosen_labels(["cat", "dog"])
    ('cat', 'dog')
    >>> len(chosen_labels("imagenet-1k"))
    1000
    """
    if isinstance(labels, str) and (known := _label_set(labels)) is not None:
        return known
    if isinstance(labels, str | Path):
        names, where = _lines(labels), f"{labels}, line"
    elif isinstance(labels, Sequence) and all(isinstance(name, str) for name in labels):
        names, where = list(labels), "labels, number"
    else:
        raise DataError(
            f"labels are names, a label set or the path of a text file, not {labels!r:.60}."
        )
    _check(names, where)
    return tuple(names)


def _lines(labels: str | Path) -> list[str]:
    """The lines of a file of names, without the empty ones at its end."""
    try:
        path = Path(labels).expanduser()
        body = text(path, LARGEST, "utf-8-sig")
    except FileNotFoundError as error:
        near = did_you_mean(str(labels), LABEL_SETS)
        raise DataError(
            f'No label set "{labels}", and no such file. {near}'.strip(),
            hint="A file has a name a line, in the order of the model's outputs.",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{labels} is no text: byte {error.start} is not UTF-8.", hint="Save it as UTF-8."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise DataError(f"{labels} cannot be read: {reason}.") from error
    return [line.strip() for line in body.rstrip().split("\n")]


def _check(names: Sequence[str], where: str) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(
                f"{where} {number}: the name is empty.", hint="Each class has a name of its own."
            )
        if name in first:
            raise DataError(
                f'{where} {number}: "{readable_name(name)[:80]}" is there twice; number '
                f"{first[name]} is called so, too.",
                hint="Call one of them otherwise; ImageNet's names are in zoo: imagenet-1k.",
            )
        first[name] = number
    if not names:
        raise DataError(f"{where.rpartition(',')[0]} has no name in it.")


def is_label_set(name: str) -> bool:
    """Whether a label set is called so."""
    return _label_set(name) is not None


@functools.cache
def _label_set(name: str) -> tuple[str, ...] | None:
    from timm.data import ImageNetInfo

    try:
        facts = ImageNetInfo(name)
    except (AssertionError, KeyError, FileNotFoundError):
        return None
    return tuple(facts.index_to_description(i) for i in range(facts.num_classes()))
