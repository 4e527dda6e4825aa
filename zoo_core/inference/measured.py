"""What evaluate() gives: a dict of figures, which a notebook shows as a table of classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo_core.humanize import readable_name
from zoo_core.pages.fragment import Grid, Meter, fragment, unless_it_fails

MOST = 20  # rows: of more classes those that the model does worst on


class Measured(dict[str, Any]):
    """Figures by name: a dict like any other, but for how it looks at a prompt.

    >>> Measured(accuracy=0.984, loss=0.051, count=1000, per_class={}, table={})
    <98.4% right of 1,000 pictures, log-loss 0.051>
    """

    def __repr__(self) -> str:
        try:
            return f"<{', '.join(_sentences(self))}>"
        except Exception:  # somebody took out what is shown
            return super().__repr__()

    def __str__(self) -> str:
        return super().__repr__()

    @unless_it_fails
    def _repr_html_(self) -> str:
        sentences = [", ".join(_sentences(self)) + "."]
        rows = sorted(self["table"].items(), key=lambda item: item[1]["accuracy"])
        if len(rows) > MOST:
            sentences.append(f"The {MOST} of {len(rows):,} classes that it does worst on:")
        else:
            rows = list(self["table"].items())
        return fragment(sentences, Grid(_HEADER, [_row(*row) for row in rows[:MOST]], _RIGHT))


_HEADER = ("class", "pictures", "found", "precision", "F1")
_RIGHT = ("pictures", "precision", "F1")


def _sentences(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{figures['accuracy']:.1%} right of {figures['count']:,} pictures"
    yield f"log-loss {figures['loss']:.3f}"
    if "top5" in figures:
        yield f"top-5 {figures['top5']:.1%}"
    if "map" in figures:
        yield f"mean average precision {figures['map']:.1%}"
    if "ece" in figures:
        yield f"calibration error {figures['ece']:.1%}"
    if figures.get("trained_on"):
        yield f"{figures['trained_on']:,} of them trained on"


def _row(name: str, own: dict[str, Any]) -> list[str | Meter]:
    found = Meter(own["accuracy"], said=f"{own['accuracy']:.1%}")
    return [readable_name(name), f"{own['count']:,}", found, f"{own['precision']:.1%}",
            f"{own['f1']:.1%}"]  # fmt: skip
