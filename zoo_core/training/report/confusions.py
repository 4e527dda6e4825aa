"""Right and wrong by class: the confusion matrix, and what is confused most, with its pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo_core.inference.metrics import Metrics, confusion
from zoo_core.inference.mistakes import mistakes_by_pair, most_confused
from zoo_core.pages.thumbnails import data_uri
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.names import shown_name

MATRIX = 30  # classes that a confusion matrix has room for
PAIRS = 30  # confused classes listed where it has not
PICTURES = 120  # wrong pictures shown in all, pair by pair
MOST, LEAST = 24, 1  # and of each pair, as far as they go
LONGEST = 96  # pixels of the longer side of such a picture
CLASSES = 200  # classes listed, those found least first


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix. `share`: of the class, its root, for the colour. `link`: to where
    its pictures are; "" where none are shown."""

    count: int
    share: float
    right: bool
    link: str


@dataclass(frozen=True)
class Pair:
    """`count` of the `total` pictures of class `true` are called `said`.

    `pictures`: names and data URIs of some. `link`: its place on the page; "" where none are shown.
    """

    true: str
    said: str
    count: int
    total: int
    pictures: list[tuple[str, str]]
    link: str


def pairs(findings: Findings) -> list[Pair]:
    """The pairs of classes that are confused, most often first, with some of their pictures."""
    found = _of_one_class(findings)
    if found is None:
        return []
    scores, targets = found
    names = findings.names
    confused = most_confused(scores, targets, len(names) ** 2 if len(names) <= MATRIX else PAIRS)
    each = min(max(PICTURES // max(len(confused), 1), LEAST), MOST)
    chosen = mistakes_by_pair(scores, targets, min(len(confused), PICTURES), each)
    result = []
    for pair in confused:
        shown = list(_shown(findings, chosen.get((pair.true, pair.said), [])))
        link = f"pair-{pair.true}-{pair.said}" if shown else ""
        words = names[pair.true], names[pair.said]
        result.append(Pair(*words, pair.count, pair.total, shown, link))
    return result


def matrix(findings: Findings, confused: list[Pair]) -> list[tuple[str, list[Cell]]]:
    """Rows of the confusion matrix, by the name of their class; none where it were too large."""
    found, size = _of_one_class(findings), len(findings.names)
    if found is None or not 0 < size <= MATRIX:
        return []
    links = {pair.link for pair in confused}
    rows = confusion(*found, size).tolist()
    return [
        (findings.names[true], [_cell(true, said, row, links) for said in range(size)])
        for true, row in enumerate(rows)
    ]


def _cell(true: int, said: int, row: list[int], links: set[str]) -> Cell:
    link = f"pair-{true}-{said}"
    share = math.sqrt(row[said] / max(sum(row), 1))
    return Cell(row[said], share, true == said, link if link in links else "")


def _of_one_class(findings: Findings) -> tuple[Tensor, Tensor] | None:
    """Scores and targets, where there are some and each picture has one class."""
    scores, targets = findings.scores, findings.targets
    if scores is None or targets is None or targets.ndim == 2 or not len(scores):
        return None
    return scores, targets


def _shown(findings: Findings, indices: list[int]) -> Iterator[tuple[str, str]]:
    """Names and small pictures; what cannot be read is passed over."""
    pictures = findings.pictures
    if pictures is None:
        return
    for index in indices:
        try:
            yield shown_name(pictures, index), data_uri(pictures.read(index), LONGEST)
        except Exception:  # whatever a dataset raises, a report is not worth a failed run
            continue


def classes(metrics: Metrics | None) -> list[dict[str, Any]]:
    """How well each class is found, those found least first."""
    table = metrics["table"] if metrics else {}
    rows: list[dict[str, Any]] = [{"name": name, **row} for name, row in table.items()]
    return sorted(rows, key=lambda row: row["accuracy"])[:CLASSES]
