"""What the questions about pictures share: which can be asked, and answers as text."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError
from zoo_core.humanize import aligned, readable_name
from zoo_core.pages.sections import Table

FEWEST = 2  # pictures, and classes


def told_apart(pictures: Pictures) -> None:
    """Raise DataError for pictures in which nothing is to be told apart: too few, or one class."""
    if len(pictures) < FEWEST:
        raise DataError(f"{pictures.name} has {len(pictures)} pictures, too few to judge by.")
    pictures.refuse_ids()
    if not pictures.multilabel and len(set(pictures.targets)) < FEWEST:
        raise DataError(
            f"{pictures.name} holds pictures of one class; a classifier needs two.",
            hint="In a folder, each class has a sub-folder of its own.",
        )


def as_text(sentences: Iterable[str], table: Table) -> str:
    """Sentences, a line each, and below them the table."""
    rows = [table.header, *table.rows]
    lines = aligned(rows, [name in set(table.right) for name in table.header])
    return "\n".join([*map(readable_name, sentences), "", *lines])
