"""The curves of several runs over one another, and where those of one begin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_core.pages.charts import Chart, Marks, chart
from zoo_core.runs.comparison import number

Row = Mapping[str, Any]
Histories = Mapping[str, Sequence[Row]]

CURVES = (
    ("Loss on validation", "val_loss", False),
    ("Accuracy on validation", "val_accuracy", True),
    ("Loss in training", "loss", False),
)


def from_the_start(history: Sequence[Row], best: Row) -> list[Row]:
    """The rows of a run from the one that counts, where that came before the first epoch.

    >>> from_the_start([{"epoch": 1}], {"epoch": 0, "loss": 0.5})
    [{'epoch': 0, 'loss': 0.5}, {'epoch': 1}]
    """
    before = best.get("epoch") == 0 and all(row["epoch"] for row in history)
    return [*([best] if before else []), *history]


def over_one_another(histories: Histories, best: Mapping[str, int]) -> list[Chart]:
    """Losses and accuracy over epochs, a curve for each run by its name.

    `best`: the best epoch of each.
    """
    epochs = sorted({epoch for rows in histories.values() for epoch in _by_epoch(rows)})
    marks = Marks(each=best)
    drawn = [
        chart(title, _columns(histories, key, epochs), epochs, marks, percent=percent)
        for title, key, percent in CURVES
        if epochs
    ]
    return [one for one in drawn if one is not None]


def _columns(histories: Histories, key: str, epochs: Sequence[int]) -> dict[str, list[float]]:
    columns = {}
    for name, rows in histories.items():
        values = {epoch: number(row, key) for epoch, row in _by_epoch(rows).items()}
        known = {epoch: value for epoch, value in values.items() if value is not None}
        columns[name] = [float(known.get(epoch, math.nan)) for epoch in epochs]
    return columns


def _by_epoch(rows: Sequence[Row]) -> dict[int, Row]:
    """Rows by their epoch; what a stranger wrote may have none."""
    numbered = [(number(row, "epoch"), row) for row in rows]
    return {int(epoch): row for epoch, row in numbered if epoch is not None}
