"""What a notebook shows in the place of a value: a little HTML, in the colours that are around it.

Frontends have themes of their own, so no colour of text or paper is set here, and no script is
there. Whatever text is given is escaped, and cut where it is long: the size of all is bounded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.humanize import readable_text, shortened
from zoo_core.pages.charts import Chart
from zoo_core.pages.sections import Table
from zoo_core.pages.template import rendered

LONGEST = {"cell": 100, "sentence": 1000}  # letters


@dataclass(frozen=True)
class Meter:
    """A bar in a cell: `length` of the column's width, and `full` of it in full colour; in [0, 1].

    `said`: what stands behind it.
    """

    length: float
    full: float = 1.0
    said: str = ""


@dataclass(frozen=True)
class Strip:
    """Small pictures side by side in a cell, as data URIs (`pages/thumbnails.py`)."""

    pictures: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table whose cells may be bars and pictures, too."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Meter | Strip]]
    right: Sequence[str] = ()


@dataclass(frozen=True)
class Link:
    """A file that the reader may open: `href` as a browser takes it."""

    words: str
    href: str


def fragment(
    sentences: Iterable[str],
    table: Table | Grid | None = None,
    *,
    title: str = "",
    charts: Sequence[Chart] = (),
    link: Link | None = None,
) -> str:
    """A title, sentences, charts and a table, of which any may be missing.

    >>> html = fragment(["All is <well>."], Table(["a"], [["1"]]))
    >>> "All is &lt;well&gt;." in html, html.count("<tr>"), "<script" in html
    (True, 2, False)
    """
    return rendered(
        Path(__file__).with_suffix(".html"),
        title=_cut(title, "cell"),
        sentences=[_cut(sentence, "sentence") for sentence in sentences],
        table=None if table is None else _bounded(table),
        charts=list(charts),
        link=link,
        curves=Path(__file__).with_name("curves.css").read_text(encoding="utf-8"),
    ).strip()


def _bounded(table: Table | Grid) -> Grid:
    rows = [[_cut(cell, "cell") if isinstance(cell, str) else cell for cell in row]
            for row in table.rows]  # fmt: skip
    return Grid(table.header, rows, table.right)


def _cut(text: str, kind: str) -> str:
    return shortened(readable_text(text), LONGEST[kind])


def unless_it_fails(shown: Callable[[Any], str]) -> Callable[[Any], str | None]:
    """A `_repr_html_` that gives None, for which a notebook shows plain text, where it would raise.

    Who looks at a value wants no traceback of how it is shown.
    """

    @functools.wraps(shown)
    def safely(value: Any) -> str | None:
        try:
            return shown(value)
        except Exception:
            return None

    return safely
