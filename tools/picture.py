"""The picture of README.md, from the tables of docs/evidence.md: what transfer is worth, and where
to end a network.

    python tools/picture.py     writes docs/transfer-light.svg and docs/transfer-dark.svg

It measures nothing: `python -m benchmarks.evidence photos` and `boundaries` made those tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EVIDENCE = ROOT / "docs" / "evidence.md"

# Row of the left panel: what it is called there, the table, pictures a class.
GAINS = (
    ("stamps, 10 a class", "### Stamps", "10"),
    ("Fashion-MNIST, 10 a class", "### Fashion", "10"),
    ("Fashion-MNIST, 200 a class", "### Fashion", "200"),
    ("solar cells, 10 a class", "### Solar cells", "10"),
    ("solar cells, 200 a class", "### Solar cells", "200"),
)
COUNTS = ("25", "200")  # cells of each class, in the right panel

Table = dict[str, dict[str, tuple[float, float]]]  # row, column: mean, standard deviation


@dataclass(frozen=True)
class Colours:
    """Of a page of GitHub: what is drawn on it must be seen."""

    text: str
    faint: str
    few: str
    many: str


THEMES = {
    "light": Colours(text="#1f2328", faint="#818b98", few="#bc4c00", many="#0969da"),
    "dark": Colours(text="#e6edf3", faint="#7d8590", few="#f0883e", many="#58a6ff"),
}


def main() -> None:
    for name, colours in THEMES.items():
        draw(EVIDENCE.read_text(encoding="utf-8"), colours, ROOT / "docs" / f"transfer-{name}.svg")


def table(page: str, heading: str) -> Table:
    """The first table after a heading, by the first cell of a row and by column."""
    _, _, after = page.partition(f"\n{heading}")
    lines = [line for line in after.split("\n#")[0].splitlines() if line.startswith("|")]
    columns, *rows = [list(_cells(line)) for line in lines if not line.startswith("|--")]
    return {
        row[0]: dict(zip(columns[1:], (_figures(cell) for cell in row[1:]), strict=True))
        for row in rows
    }


def _cells(line: str) -> Iterator[str]:
    return (re.sub("[*`]", "", cell).strip() for cell in line.strip().strip("|").split("|"))


def _figures(cell: str) -> tuple[float, float]:
    mean, _, sd = cell.partition(" ± ")
    return float(mean), float(sd or 0)


def draw(page: str, colours: Colours, file: Path) -> None:
    import matplotlib

    style = {
        "font.size": 9.5,
        "svg.hashsalt": "zoo",  # else ids differ from one time to the next
        "text.color": colours.text,
        "xtick.color": colours.text,
        "ytick.color": colours.text,
        "axes.labelcolor": colours.text,
        "axes.edgecolor": colours.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11.2, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
        gains(left, page, colours)
        boundaries(right, page, colours)
        figure.savefig(file, transparent=True, metadata={"Creator": None, "Date": None})


def gains(axes: Any, page: str, colours: Colours) -> None:
    """From scratch and with a head on ImageNet's features, side by side."""
    for at, (_, heading, count) in enumerate(reversed(GAINS)):
        row = table(page, heading)[count]
        scratch, head = row["from scratch"][0], row["head alone"][0]
        axes.plot([scratch, head], [at, at], color=colours.faint, linewidth=1.5, zorder=1)
        axes.scatter([scratch], [at], facecolors="none", edgecolors=colours.faint, s=36, zorder=2)
        axes.scatter([head], [at], color=colours.many, s=36, zorder=2)
        axes.annotate(f"{head - scratch:+.0f} points", (head, at), (7, -3), **OFFSET)
    axes.set_yticks(range(len(GAINS)), [name for name, _, _ in reversed(GAINS)])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(25, 100), ylim=(-0.6, len(GAINS) - 0.4), xlabel="balanced accuracy (%)")
    axes.set_title("What ImageNet is worth: from scratch ○, head alone ●", fontsize=10, loc="right")


def boundaries(axes: Any, page: str, colours: Colours) -> None:
    """A head on what enters each stage, for few pictures and for many; the best is named."""
    rows = table(page, "### 2 classes")
    stages = [stage for stage in rows if "chosen" not in stage]
    places = range(len(stages))
    for count, colour in zip(COUNTS, (colours.few, colours.many), strict=True):
        means, sds = zip(*(rows[stage][f"{count} a class"] for stage in stages), strict=True)
        best = max(places, key=means.__getitem__)
        low, high = ([m + sign * sd for m, sd in zip(means, sds, strict=True)] for sign in (-1, 1))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(means, color=colour, linewidth=1.8, marker="o", markersize=4)
        axes.annotate(f"{means[best]:.1f}", (best, means[best]), (0, 6), **CENTRED, color=colour)
        end = (places[-1], means[-1])
        axes.annotate(f"{count} a class", end, (8, -3), **OFFSET, color=colour)
    axes.set_xticks(places, [stage.replace("_", "_\n") for stage in stages])
    axes.set(xlim=(-0.4, len(stages) + 0.5), ylim=(63, 84), ylabel="balanced accuracy (%)")
    axes.set_title("How far back: solar cells, by the stage where the network ends", fontsize=10)


OFFSET: dict[str, Any] = {"textcoords": "offset points"}
CENTRED: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}


if __name__ == "__main__":
    main()
