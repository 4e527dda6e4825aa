"""Class names: of a label set by name (`imagenet-1k`), or as a list."""

from __future__ import annotations

import functools


def label_names(labels: str | tuple[str, ...] | None, count: int | None) -> tuple[str, ...] | None:
    """The class names in order, or None where they are unknown or are not `count`.

    >>> label_names(("cat", "dog"), 2)
    ('cat', 'dog')
    >>> label_names("imagenet-1k", 1000)[281]
    'tabby, tabby cat'
    """
    names = _label_set(labels) if isinstance(labels, str) else labels
    return names if names and (count is None or len(names) == count) else None


@functools.cache
def _label_set(name: str) -> tuple[str, ...] | None:
    from timm.data import ImageNetInfo

    try:
        facts = ImageNetInfo(name)
    except (AssertionError, KeyError, FileNotFoundError):
        return None
    return tuple(facts.index_to_description(i) for i in range(facts.num_classes()))
