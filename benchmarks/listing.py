"""Listing the models, in a new process: zoo reads facts, and imports neither torch nor timm."""

from __future__ import annotations

import sys

from benchmarks.measure import ZOO, Row, Skipped, at_least, ms, processes, show


def measure() -> list[Row | Skipped]:
    ours = [ZOO, "list"]
    peer = [sys.executable, "-c", "import timm; timm.list_models()"]
    what = "`zoo list` against `timm.list_models()`, new process"
    try:
        times = processes({"ours": ours, "peer": peer}, rounds=5)
    except RuntimeError as error:
        return [Skipped(what, str(error))]
    mine, theirs = ms(times.median("ours")), ms(times.median("peer"))
    return [at_least(what, mine, theirs, times.ratio("peer", "ours"), 20)]


if __name__ == "__main__":
    show(measure())
