"""What a demo leaves: its folder, and a picture of accuracy over pictures per class."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def next_folder(name: str) -> Path:
    """`runs/NAME-1`, or the next number that is free."""
    paths = (Path("runs") / f"{name}-{n}" for n in itertools.count(1))
    return next(path for path in paths if not path.exists())


def draw(
    rows: Sequence[Mapping[str, Any]], path: Path, *, title: str, y: str, grey: str = ""
) -> None:
    """Accuracy over pictures per class, a line per arm; that of `grey` is in the background.

    `rows`: per_class, arm, mean, sd.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        x, means, sd = ([row[key] for row in own] for key in ("per_class", "mean", "sd"))
        style: dict[str, Any] = {"color": "0.45", "linestyle": "--"} if arm == grey else {}
        axes.errorbar(x, means, yerr=sd, label=arm, marker="o", capsize=3, **style)
    counts = list(dict.fromkeys(row["per_class"] for row in rows))
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set(xlabel="pictures per class", ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)
