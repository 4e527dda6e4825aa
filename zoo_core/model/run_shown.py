"""What a notebook shows of a run: what came out, its curves, where it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo_core.humanize import duration, without_credentials
from zoo_core.pages.charts import Chart, Marks, chart
from zoo_core.pages.fragment import Link, fragment
from zoo_core.runs.recipe import REPORT

DRAWN = 100  # epochs; of more, every second, third … is drawn
CURVES = (
    ("Loss", {"training": "loss", "validation": "val_loss"}, False),
    ("Accuracy on validation", {"accuracy": "val_accuracy"}, True),
)


def html(run: Any) -> str:
    """Sentences, two charts, and a link to the report where there is one."""
    drawn = _thinned(run.history, run.best.get("epoch"))
    several = drawn if len(drawn) > 1 else []
    charts = [_chart(*one, several, run.best.get("epoch")) for one in CURVES] if several else []
    return fragment(_sentences(run), title=_title(run), charts=list(filter(None, charts)),
                    link=_link(run.path))  # fmt: skip


def _title(run: Any) -> str:
    name = without_credentials(run.recipe.get("model", {}).get("reference") or "a model")
    spec = run.recipe.get("data", {}).get("spec") if run.held_out is None else run.held_out.name
    return f"{name}, trained on {without_credentials(spec)}" if spec else f"{name}, trained"


def _sentences(run: Any) -> Iterator[str]:
    best = run.best
    came_out = [] if run.accuracy is None else [f"{run.accuracy:.1%} on validation"]
    came_out += [f"log-loss {best['val_loss']:.4f}"] if "val_loss" in best else []
    came_out += [_best_epoch(run)] if "epoch" in best else []
    seconds = _seconds(run)
    came_out += [duration(seconds)] if seconds else []
    if came_out:
        yield ", ".join(came_out) + "."
    yield _kept(run.path)


def _best_epoch(run: Any) -> str:
    epochs = max((row.get("epoch", 0) for row in run.history), default=0)
    return f"best epoch {run.best['epoch']}" + (f" of {epochs}" if epochs else "")


def _seconds(run: Any) -> float:
    """In all, with what came before the epochs: as the report says it."""
    seconds = run.recipe.get("cost", {}).get("seconds")
    return seconds or sum(row.get("seconds", 0.0) for row in run.history)


def _kept(folder: Path | None) -> str:
    if folder is None:
        return "In memory only: no folder has it."
    return f"Kept in {folder}." if folder.is_dir() else f"In memory only: {folder} is gone."


def _thinned(history: Sequence[Mapping[str, Any]], best: Any) -> list[Mapping[str, Any]]:
    """Rows enough for a curve, the best and the last one among them."""
    every = math.ceil(len(history) / DRAWN) or 1
    last = len(history) - 1
    return [
        row
        for place, row in enumerate(history)
        if (last - place) % every == 0 or row.get("epoch") == best
    ]


def _chart(
    title: str,
    keys: Mapping[str, str],
    percent: bool,
    rows: Sequence[Mapping[str, Any]],
    best: int | None,
) -> Chart | None:
    series = {name: [float(row.get(key, math.nan)) for row in rows] for name, key in keys.items()}
    epochs = [row["epoch"] for row in rows]
    return chart(title, series, epochs, Marks(best), percent=percent)


def _link(folder: Path | None) -> Link | None:
    """The report, by the way to it from here: a notebook opens files below its own folder."""
    if folder is None or not (folder / REPORT).is_file():
        return None
    report = (folder / REPORT).absolute()
    here = Path.cwd()
    below = report.is_relative_to(here)
    href = quote(report.relative_to(here).as_posix()) if below else report.as_uri()
    return Link("Its report", href)
