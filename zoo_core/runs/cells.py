"""What a table of runs shows of each."""

from __future__ import annotations

from typing import Any

from zoo_core.humanize import duration
from zoo_core.runs.comparison import RunSummary

MOST = 8  # more values than these in one cell say nothing to anybody


def results(run: RunSummary) -> list[str]:
    """Epochs done of those planned; the best one, its accuracy and loss; the time."""
    return [
        f"{run.epochs_done}/{'?' if run.epochs is None else run.epochs}",
        "" if run.best_epoch is None else f"{run.best_epoch}",
        "" if run.val_accuracy is None else f"{run.val_accuracy:.1%}",
        "" if run.val_loss is None else f"{run.val_loss:.4f}",
        duration(run.seconds) if run.seconds else "",
    ]


def cell(value: Any) -> str:
    """A value of a recipe."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(value) <= MOST else f"{len(value)} values"
    return "" if value is None else str(value)
