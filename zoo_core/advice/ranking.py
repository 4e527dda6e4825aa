"""What rank() answers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.advice.questions import as_text
from zoo_core.humanize import byte_size, readable_name, shortened, some
from zoo_core.pages.fragment import fragment, unless_it_fails
from zoo_core.pages.sections import Section, Table, page, save_page

_HEADER = (
    "rank",
    "model",
    "accuracy",
    "95%",
    "log-loss",
    "kNN",
    "LogME",
    "ms",
    "params",
    "size",
    "",
)


@dataclass(frozen=True, repr=False)
class Ranking:
    """Models, best first, by what a head on their features, frozen, would do on some pictures.

    Of each row: `model`, `rank` (shared by those that cannot be told apart), `accuracy` in [0, 1]
    with its 95% interval `low` to `high` and log-loss `loss`, of pictures left out; `knn`, the
    accuracy of nearest neighbours, and `logme`; `ms` for a picture on this machine, `params`,
    `bytes`; `pareto`, whether no other is as accurate and quicker. `count` of `total` pictures were
    looked at. `notes`: what else a person should know. `data`: what the pictures are called;
    `spec`: what names them, where it is text. `rows`: these rows.

    >>> import tempfile, zoo_core as zoo
    >>> names = ["lenet5", "lenet5.fashion_mnist"]
    >>> ranking = zoo.rank("digits#test", names, progress=False)
    >>> ranking.best, ranking.sentences()[0][:18], len(ranking.table().rows)
    ('lenet5', 'lenet5 comes first', 2)
    >>> ranking.save(Path(tempfile.mkdtemp()) / "rank.html").name, "<html" in ranking.html()
    ('rank.html', True)
    """

    rows: list[dict[str, Any]]
    data: str
    count: int
    total: int
    notes: list[str] = field(default_factory=list)
    spec: str = ""

    @property
    def best(self) -> str:
        """The model that comes first."""
        return str(self.rows[0]["model"])

    def sentences(self) -> list[str]:
        """The answer in words."""
        first, *others = self.rows
        tied = [row["model"] for row in others if row["rank"] == 1]
        lines = [f"{first['model']} comes first: a head on its frozen features is right on "
                 f"{first['accuracy']:.1%} of new pictures ({_range(first)})."]  # fmt: skip
        if tied:
            lines.append(f"These pictures cannot tell it from {some(tied)}: take the quickest.")
        if self.count < self.total:
            lines.append(f"{self.count:,} of {self.total:,} pictures were looked at.")
        return [*lines, *self.notes]

    def table(self) -> Table:
        """The rows as text."""
        right = ("rank", "accuracy", "log-loss", "kNN", "LogME", "ms", "params", "size")
        return Table(_HEADER, [_cells(row) for row in self.rows], right)

    def __str__(self) -> str:
        return as_text(self.sentences(), self.table())

    def __repr__(self) -> str:
        data, best = shortened(self.data, 80), shortened(self.best, 80)
        return readable_name(f"<Ranking on {data}: {best} comes first of {len(self.rows)}>")

    @unless_it_fails
    def _repr_html_(self) -> str:
        return fragment(self.sentences(), self.table())

    def html(self) -> str:
        """One page, complete in itself."""
        sections = [Section("Models", text=_LEGEND, table=self.table())]
        if self.spec:
            command = shlex.join(["zoo", "advise", self.best, self.spec])
            sections.append(Section("Next: how much of it to train", commands=[command]))
        return page(f"Which model for {self.data}", self.sentences(), sections)

    def save(self, path: str | Path) -> Path:
        """Write that page to the file `path`, and return it. Raises ZooError where it cannot be."""
        return save_page(self.html(), path)


_LEGEND = (
    "Accuracy and log-loss are those of a linear head on features of the frozen network, each "
    "picture judged by the head that the others give. The lowest log-loss comes first; models that "
    "these pictures cannot tell apart share a rank. A star: no other is as accurate and quicker."
)


def _range(row: dict[str, Any]) -> str:
    return f"{row['low']:.1%} to {row['high']:.1%}"


def _short(number: float) -> str:
    """Two figures of a small number, all before the point of a large one.

    >>> _short(0.0634), _short(4.13), _short(163.2)
    ('0.063', '4.1', '163')
    """
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        str(row["rank"]),
        row["model"],
        f"{row['accuracy']:.1%}",
        _range(row),
        f"{row['loss']:.3f}",
        f"{row['knn']:.1%}",
        f"{row['logme']:.3f}",
        _short(row["ms"]),
        f"{row['params']:,}",
        byte_size(row["bytes"]),
        "*" if row["pareto"] else "",
    ]
