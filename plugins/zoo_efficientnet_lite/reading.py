"""What the table of `zoo demo photos` says, from its own numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """The balanced accuracy in percent of one arm; `sd`: of several draws, else None."""

    per_class: int
    arm: str
    mean: float
    sd: float | None
    draws: int

    @classmethod
    def of(cls, per_class: int, arm: str, scores: Sequence[float]) -> Row:
        """The row of such scores, in percent."""
        sd = round(statistics.stdev(scores), 1) if len(scores) > 1 else None
        return cls(per_class, arm, round(statistics.mean(scores), 1), sd, len(scores))

    def facts(self) -> dict[str, Any]:
        """As a plain mapping."""
        return asdict(self)


NAMES = {
    "scratch": "starting from scratch",
    "head": "the head alone on the network's own features",
    "keep": "keeping only the early layers",
    "deeper": "training the last stages, too,",
}


def sentence(rows: Sequence[Row]) -> str:
    """How much transfer is worth with few pictures and with many, and which part of it."""
    table = {(row.per_class, row.arm): row.mean for row in rows}
    few, many = min(row.per_class for row in rows), max(row.per_class for row in rows)
    return f"{_few(table, few)} {_many(table, many)}"


def _few(table: dict[tuple[int, str], float], count: int) -> str:
    keep, head, scratch = (table[count, arm] for arm in ("keep", "head", "scratch"))
    gain = keep - head
    told = f"With {count} cells a class, {NAMES['head']} finds {head:.1f}% (chance is 50%), "
    told += f"{NAMES['keep']} {keep:.1f}%, {NAMES['scratch']} {scratch:.1f}%: "
    if gain > 0 and max(keep, head) > scratch:
        return told + (
            "cells are nothing like ImageNet's pictures, so what its late layers know of cats and "
            "cars is no help here, and the edges and textures of its early ones are."
        )
    if max(keep, head) > scratch:
        return told + "even its late layers are a help here."
    return told + "here transfer has no value."


def _many(table: dict[tuple[int, str], float], count: int) -> str:
    own = {arm: mean for (number, arm), mean in table.items() if number == count}
    best = max(own, key=lambda arm: own[arm])
    told = f"With {count} a class, {NAMES[best]} is best, {own[best]:.1f}%"
    if best == "deeper":
        return f"{told}, against {own['head']:.1f}% for the head alone: more pictures, deeper."
    return (
        f"{told}; {NAMES['deeper']} gets {own['deeper']:.1f}%: that would want more pictures yet."
    )
