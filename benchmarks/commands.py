"""What a command of zoo costs in the shell, beyond starting Python at all."""

from __future__ import annotations

import sys

from benchmarks.measure import ZOO, Row, Skipped, at_most, ms, processes, show

COMMANDS = (("show", "resnet50"), ("plugins",))


def measure() -> list[Row | Skipped]:
    results: list[Row | Skipped] = []
    for words in COMMANDS:
        what = f"`zoo {' '.join(words)}` beyond `python -c pass`"
        ways = {"ours": [ZOO, *words], "peer": [sys.executable, "-c", "pass"]}
        try:
            times = processes(ways, rounds=9)
        except RuntimeError as error:
            results.append(Skipped(what, str(error)))
            continue
        ours, peer = times.median("ours"), times.median("peer")
        results.append(at_most(what, ms(ours), ms(peer), ours - peer, 0.3, " s"))
    return results


if __name__ == "__main__":
    show(measure())
