"""Right and wrong by class: the confusion matrix, what is confused most, the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from zoo_core.inference.metrics import Metrics, confusion
from zoo_core.inference.mistakes import most_confused, worst_mistakes
from zoo_core.pages.thumbnails import data_uri
from zoo_core.training.report.findings import Findings

MATRIX = 30  # classes that a confusion matrix has room for
PAIRS = 20  # confused classes listed where it has not
PICTURES = 24  # mistakes shown
CLASSES = 200  # classes listed, those found least first


def matrix(findings: Findings) -> list[dict[str, Any]]:
    """Rows of the confusion matrix, each with the share of the class that every cell has."""
    scores, targets, names = findings.scores, findings.targets, findings.names
    if scores is None or targets is None or targets.ndim == 2 or not 0 < len(names) <= MATRIX:
        return []
    rows = confusion(scores, targets, len(names)).tolist()
    return [
        {"name": name, "counts": row, "shares": [math.sqrt(n / max(sum(row), 1)) for n in row]}
        for name, row in zip(names, rows, strict=True)
    ]


def confused(findings: Findings) -> list[dict[str, Any]]:
    """The classes most often taken for others, where a matrix would be too large."""
    scores, targets, names = findings.scores, findings.targets, findings.names
    if scores is None or targets is None or targets.ndim == 2 or len(names) <= MATRIX:
        return []
    return [
        {
            "true": names[pair.true],
            "said": names[pair.said],
            "count": pair.count,
            "total": pair.total,
        }
        for pair in most_confused(scores, targets, PAIRS)
    ]


def mistakes(findings: Findings) -> Iterator[dict[str, Any]]:
    """The worst mistakes as pictures; what cannot be read is passed over."""
    scores, targets, pictures = findings.scores, findings.targets, findings.pictures
    if scores is None or targets is None or pictures is None:
        return
    names = findings.names
    for mistake in worst_mistakes(scores, targets, 2 * PICTURES):
        try:
            uri = data_uri(pictures.read(mistake.index))
        except Exception:  # whatever a dataset raises, a report is not worth a failed run
            continue
        true, said = ([(names[i], p) for i, p in own] for own in (mistake.true, mistake.said))
        yield {"picture": uri, "true": true, "said": said}


def classes(metrics: Metrics | None) -> list[dict[str, Any]]:
    """How well each class is found, those found least first."""
    table = metrics["table"] if metrics else {}
    rows: list[dict[str, Any]] = [{"name": name, **row} for name, row in table.items()]
    return sorted(rows, key=lambda row: row["accuracy"])[:CLASSES]
