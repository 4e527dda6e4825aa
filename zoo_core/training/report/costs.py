"""What a run took: its stages with what trained, time, memory and space."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zoo_core.humanize import byte_size, clipped, duration
from zoo_core.training.report.findings import Findings, Row


def stages(findings: Findings) -> list[dict[str, Any]]:
    """The stages with what was frozen, and how far each moved, also as a share of the farthest."""
    farthest = max(findings.drift.values(), default=0.0)
    rows = []
    for stage in findings.stages:
        drift = findings.drift.get(stage["stage"])
        rows.append(
            {
                **stage,
                "output": "x".join(map(str, stage["output"])),
                "how": _how(stage["params"], stage["trainable"]),
                "drift": drift if stage["params"] else None,
                "bar": drift / farthest if drift and farthest else 0.0,
                "new": drift is None and stage["trainable"] > 0,
            }
        )
    return rows


def _how(params: int, trainable: int) -> str:
    if not params:
        return "–"
    if trainable in (0, params):
        return "trained" if trainable else "frozen"
    return f"{trainable:,} trained"


COST: dict[str, tuple[str, Callable[[Any], str]]] = {
    "seconds": ("time", duration),
    "seconds_caching": ("of it for caching", duration),
    "seconds_validation": ("of it for validation", duration),
    "pictures_per_second": ("pictures per second", lambda number: f"{number:,.0f}"),
    "peak_memory": ("memory at most", byte_size),
    "device": ("device", str),
    "trained_params": ("parameters trained", lambda number: f"{number:,}"),
    "checkpoint_bytes": ("size of the weights that are kept", byte_size),
}


SECONDS = ("seconds", "without", "predicted", "building", "training")  # the last are a cache's


def cost_lines(cost: Mapping[str, Any], history: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """What the run took, as words and figures."""
    for key, value in cost.items():
        words, how = COST.get(key, (key.replace("_", " "), _facts))
        if value is not None and (value or key != "seconds_caching"):
            yield clipped(words), clipped(how(value), 400)
    waits = [row["waiting"] for row in history if "waiting" in row]
    if waits:
        yield "waiting for pictures", f"{statistics.mean(waits):.0%} of the time"


def _facts(value: Any) -> str:
    """A value that has no words of its own, and what is in it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_fact(key, own)}" for key, own in value.items())
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _fact(key: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and key.endswith("bytes"):
        return byte_size(value)
    return duration(value) if number and key.endswith(SECONDS) else _facts(value)
