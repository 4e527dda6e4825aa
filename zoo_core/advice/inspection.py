"""What is found wrong with pictures, as rows, a table, a page and a file of what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.advice.questions import as_text
from zoo_core.data.pictures import Pictures
from zoo_core.humanize import readable_name, shortened
from zoo_core.pages.fragment import fragment, unless_it_fails
from zoo_core.pages.sections import Card, Section, Table, Tile, page, save_page
from zoo_core.pages.thumbnails import data_uri

ISSUES = {
    "unreadable": "Cannot be read",
    "label": "Labels in doubt",
    "duplicate": "There twice",
    "outlier": "Unlike all others",
    "size": "Of an odd size",
}
TEXTS = {
    "unreadable": "Training stops at these, or leaves them out with --skip-unreadable.",
    "label": "A head that the other pictures give speaks for another label: the surest first. Some "
    "are right and only hard; nobody but you can say which.",
    "duplicate": "The same picture once more, perhaps in another size or quality.",
    "outlier": "Far from its nearest neighbours in the features of the network.",
    "size": "Not of the size or shape that the others have.",
}
SHOWN = 48  # pictures of each issue on a page
LISTED = 20  # rows of a printed table
COLUMNS = ("part", "index", "picture", "issue", "label", "likely", "margin", "why")


@dataclass(frozen=True, repr=False)
class Inspection:
    """What to look at, worst first in each kind of issue.

    Of each row: `issue` ("unreadable", "label", "duplicate", "outlier", "size"), `picture` (its
    file, or its place), `index` in the data, `part` ("" or "validation"), its `label`, what it is
    `likely` to be (for "label", else None), the `margin` between the two, below 0, in nats (else
    None), and `why`, in words. `counts`: rows of each issue; `balance`: pictures of each class;
    `notes`: what could not be said, and what else matters. `count`: how many pictures of `data`
    were looked at, with the features of `model`. `rows`: these rows.

    >>> import tempfile, zoo_core as zoo
    >>> inspection = zoo.inspect("digits#test", "lenet5", progress=False)
    >>> sum(inspection.counts.values()) == len(inspection.rows)
    True
    >>> inspection.sentences()[0][:23], len(inspection.table(most=2).rows)
    ('797 pictures of digits:', 2)
    >>> inspection.save(Path(tempfile.mkdtemp()) / "digits.html").name, "<html" in inspection.html()
    ('digits.html', True)
    """

    rows: list[dict[str, Any]]
    data: str
    model: str
    count: int
    balance: dict[str, int]
    notes: list[str] = field(default_factory=list)
    _pictures: Mapping[str, Pictures] = field(default_factory=dict, repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each kind of issue has."""
        return {issue: len(self._of(issue)) for issue in ISSUES}

    def _of(self, issue: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["issue"] == issue]

    def sentences(self) -> list[str]:
        """The answer in words."""
        found = [f"{n:,} {ISSUES[issue].lower()}" for issue, n in self.counts.items() if n]
        what = ", ".join(found) or "nothing to look at"
        return [f"{self.count:,} pictures of {self.data}: {what}.", *self.notes]

    def table(self, most: int | None = None) -> Table:
        """The rows as text, or the first `most` of them."""
        rows = [_cells(row) for row in self.rows[:most]]
        return Table(("issue", "margin", "label", "likely", "picture", "why"), rows, ("margin",))

    def __str__(self) -> str:
        text = (
            as_text(self.sentences(), self.table(LISTED))
            if self.rows
            else "\n".join(self.sentences())
        )
        more = len(self.rows) - LISTED
        return f"{text}\n… and {more:,} more: .rows has all, .save() a page." if more > 0 else text

    def __repr__(self) -> str:
        what = f"{self.count:,} pictures of {shortened(self.data, 80)}"
        return readable_name(f"<Inspection of {what}: {len(self.rows):,} things to look at>")

    @unless_it_fails
    def _repr_html_(self) -> str:
        more = len(self.rows) - LISTED
        rest = [f"… and {more:,} more: .rows has all, .save() a page."] if more > 0 else []
        return fragment([*self.sentences(), *rest], self.table(LISTED))

    def html(self) -> str:
        """One page with small pictures, complete in itself."""
        tiles = [Tile(ISSUES[issue], f"{n:,}") for issue, n in self.counts.items()]
        sections = [self._section(issue) for issue in ISSUES if self._of(issue)]
        if self.balance:
            rows = [(name, f"{n:,}") for name, n in self.balance.items()]
            folded = f"{len(rows):,} classes" if len(rows) > 20 else ""
            table = Table(("class", "pictures"), rows, ("pictures",))
            sections.append(Section("Pictures of each class", table=table, folded=folded))
        return page(f"What is in {self.data}", self.sentences(), sections, tiles)

    def save(self, path: str | Path) -> Path:
        """Write that page to the file `path`, and return it. Raises ZooError where it cannot be."""
        return save_page(self.html(), path)

    def _section(self, issue: str) -> Section:
        rows = self._of(issue)
        text = TEXTS[issue]
        if len(rows) > SHOWN:
            text += f" The first {SHOWN} of {len(rows):,} are shown; the rest is in the table."
        cards = [[self._card(row)] for row in rows[:SHOWN]]
        table = Table(("picture", "label", "likely", "why"),
                      [(r["picture"], _text(r["label"]), _text(r["likely"]), r["why"])
                       for r in rows], ())  # fmt: skip
        return Section(ISSUES[issue], text, cards=cards, table=table, folded="as a table")

    def _card(self, row: Mapping[str, Any]) -> Card:
        said = f"{row['label']} → {row['likely']}" if row["likely"] else _text(row["label"])
        lines = [line for line in (said, row["picture"], row["why"]) if line]
        try:
            picture = data_uri(self._pictures[row["part"]].read(row["index"]))
        except Exception:  # it may have gone since; the page still says what was found
            picture = ""
        return Card(picture, lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    margin = "" if row["margin"] is None else f"{row['margin']:.2f}"
    return [
        row["issue"],
        margin,
        _text(row["label"]),
        _text(row["likely"]),
        row["picture"],
        row["why"],
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
