"""Runs on one page: their curves over one another, what came out, and how their recipes differ."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo_core.errors import RecipeError
from zoo_core.humanize import clipped
from zoo_core.pages.charts import COLORS
from zoo_core.pages.sections import Table
from zoo_core.pages.template import rendered
from zoo_core.runs.cells import cell, results
from zoo_core.runs.comparison import RunSummary, differences, table
from zoo_core.runs.curves import from_the_start, over_one_another
from zoo_core.runs.recipe import REPORT, read_history

LISTED = 2000  # runs in the table
COLUMNS = ("model", "data", "trains", "epochs", "best", "accuracy", "loss", "time", "regularizers")
HASH = re.compile("[0-9a-f]{16,}")
RIGHT = ("epochs", "best", "accuracy", "loss", "time")


def html(runs: Sequence[RunSummary], folder: Path) -> str:
    """A page of runs, for a file in `folder`: their reports are linked from there.

    The curves are those of the first, as many as can be told apart.
    """
    readable = [run for run in runs if run.recipe]
    names = _names(readable)
    drawn = readable[:COLORS]
    histories = {names[run.path]: _history(run) for run in drawn}
    best = {names[run.path]: run.best_epoch for run in drawn if run.best_epoch is not None}
    return rendered(
        Path(__file__).with_suffix(".html"),
        title=f"{len(readable):,} {'run' if len(readable) == 1 else 'runs'}",
        count=len(readable),
        most=COLORS,
        charts=over_one_another(histories, best),
        columns=COLUMNS,
        right=RIGHT,
        rows=[(names[run.path], _report(run, folder), _cells(run)) for run in readable[:LISTED]],
        differing=_differences(drawn, names),
        faults=[(clipped(run.path), clipped(run.fault, 300)) for run in runs if run.fault][:LISTED],
    )


def _names(runs: Sequence[RunSummary]) -> dict[Path, str]:
    """What each run is called: the name of its folder, or all of its path where two share it."""
    folders = [run.path.name for run in runs]
    return {
        run.path: clipped(run.path.name if folders.count(run.path.name) == 1 else run.path, 60)
        for run in runs
    }


def _history(run: RunSummary) -> list[Mapping[str, Any]]:
    try:
        rows = [row for row in read_history(run.path) if isinstance(row, Mapping)]
    except RecipeError:  # it has changed since it was listed
        return []
    return from_the_start(rows, table(run.recipe, "result"))


def _report(run: RunSummary, folder: Path) -> str:
    """The address of a run's report, seen from `folder`; "" without one."""
    report = run.path / REPORT
    try:
        if not report.is_file():
            return ""
        seen = os.path.relpath(report.resolve(), folder.resolve())
    except (OSError, ValueError):  # such as a folder on another drive
        return ""
    return quote(Path(seen).as_posix().encode("utf-8", "surrogateescape"))


def _cells(run: RunSummary) -> list[str]:
    own = [run.model, run.data, run.trains, *results(run), " ".join(run.regularizers)]
    return [clipped(text) or "–" for text in own]


def _differences(runs: Sequence[RunSummary], names: Mapping[Path, str]) -> Table | None:
    """The keys in which recipes differ; None of a single run, or where they do not."""
    found = differences([run.recipe for run in runs])
    if not found:
        return None
    rows = [(key, *(_value(value) for value in own)) for key, own in found.items()]
    return Table(("recipe", *(names[run.path] for run in runs)), rows)


def _value(value: Any) -> str:
    """A value of a recipe; of a hash the beginning tells it from others."""
    text = cell(value)
    return text[:12] if HASH.fullmatch(text) else clipped(text) or "–"
