"""The curves of a run over its epochs, and the phases of its schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from zoo_core.humanize import clipped
from zoo_core.pages.charts import Chart, Marks, chart
from zoo_core.training.report.findings import Row


def charts(history: Sequence[Row], best: int | None) -> list[Chart]:
    """Loss, accuracy, and what else a run's rows tell, as charts over epochs."""
    if not history:
        return []
    epochs = [row["epoch"] for row in history]
    marks = Marks(best, _steps(history))
    rates = {row["lr"] for row in history if "lr" in row}
    penalties = dict.fromkeys(key for row in history for key in row if key.startswith("penalty_"))
    wanted = [
        ("Loss", {"training": "loss", "validation": "val_loss"}, False),
        ("Accuracy on validation", {"accuracy": "val_accuracy"}, True),
        ("Learning rate", {"rate": "lr"} if len(rates) > 1 else {}, False),
        ("Penalties", {clipped(key.removeprefix("penalty_")): key for key in penalties}, False),
    ]
    drawn = [
        chart(
            title,
            {name: _column(history, key) for name, key in keys.items()},
            epochs,
            marks,
            percent=percent,
        )
        for title, keys, percent in wanted
    ]
    return [one for one in drawn if one is not None]


def _column(history: Sequence[Row], key: str) -> list[float]:
    return [float(row.get(key, math.nan)) for row in history]


def phases(history: Sequence[Row]) -> list[tuple[int, int, str]]:
    """First and last epoch of each step of a schedule, and what trained; none without a schedule.

    >>> rows = [{"epoch": 1, "trains": "head"}, {"epoch": 2, "trains": "fc2:", "phase": 2}]
    >>> phases(rows)
    [(1, 1, 'head'), (2, 2, 'fc2:')]
    """
    grouped = [list(g) for _, g in groupby(history, key=lambda row: row.get("phase", 1))]
    spans = [
        (own[0]["epoch"], own[-1]["epoch"], clipped(own[0].get("trains", ""))) for own in grouped
    ]
    return spans if len(spans) > 1 else []


def _steps(history: Sequence[Row]) -> dict[float, str]:
    """Between which epochs more began to train: half an epoch before each step's first."""
    return {first - 0.5: trains for first, _, trains in phases(history)}
