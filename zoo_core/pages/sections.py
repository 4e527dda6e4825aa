"""An answer as one page: a sentence, tables, charts and small pictures; no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_core.errors import ZooError
from zoo_core.files import written
from zoo_core.humanize import readable_name
from zoo_core.pages.charts import Chart
from zoo_core.pages.template import rendered


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the columns named in `right` are aligned to the right.

    `caption`: what it is a table of, for whoever does not see what is above it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """A picture as a data URI (`pages/thumbnails.py`), and lines; the first stands out.

    Without a picture, the lines alone.
    """

    picture: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A heading, and what is under it, in this order; whatever is empty is not there.

    `cards` stand in a row each (for pictures that belong together) of some. `folded`: how the
    table is called that is to be opened first.
    """

    title: str
    text: str = ""
    charts: Sequence[Chart] = ()
    table: Table | None = None
    cards: Sequence[Sequence[Card]] = ()
    commands: Sequence[str] = ()
    folded: str = ""


@dataclass(frozen=True)
class Tile:
    """A figure in large type, what it is, and a remark."""

    label: str
    value: str
    remark: str = ""


def page(
    title: str,
    sentences: Iterable[str],
    sections: Sequence[Section],
    tiles: Sequence[Tile] = (),
) -> str:
    """The HTML of a page, complete in itself. Whatever text is given is escaped.

    >>> html = page("Pictures", ["All is <well>."], [Section("Table", table=Table(["a"], [["1"]]))])
    >>> "All is &lt;well&gt;." in html, "<script" in html
    (True, False)
    """
    return rendered(
        Path(__file__).with_suffix(".html"),
        title=title,
        sentences=list(sentences),
        sections=list(sections),
        tiles=list(tiles),
    )


def save_page(html: str, path: str | Path) -> Path:
    """Write a page to a file, whole or not at all. Raises ZooError where it cannot be."""
    place = Path(path).expanduser()
    try:
        with written(place) as temporary:
            temporary.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ZooError(f"{readable_name(place)} cannot be written: {error.strerror}.") from error
    return place
