"""What the results of benchmarks/photos.py say: tables, and what is as taught."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.picture_sets import SETS

COLUMNS = {
    "scratch": "from scratch",
    "head": "head alone",
    "keep": "`keep_until`",
    "last": "last stages",
    "all": "everything",
}
TAUGHT = (
    "What is taught: pictures like those that the network knows, and few of them, want little "
    "trained; more of them pay for training deeper; and where they are unlike, transfer is worth "
    "less, or earlier layers serve better than late ones. Here:"
)

Scores = dict[str, dict[int, dict[str, list[float]]]]  # set, per class, arm: percent by seed


def section(results: Mapping[Any, Mapping[str, Any]], doc: str) -> str:
    """The part of the page."""
    scores = _by_set(results)
    method = " ".join(doc.split("\n\n")[1].split())
    parts = ["## Real pictures: what to train", f"`python -m benchmarks.evidence photos`. {method}"]
    parts += [
        "Balanced accuracy in percent (the mean share of each class that is found): mean and "
        "standard deviation over seeds, and how many of them. In bold: the best of a row, and what "
        "is not apart from it by two standard errors of the paired difference."
    ]
    told = [f"- {line}" for name in scores for line in readings(name, scores[name])]
    parts += [TAUGHT, "\n".join(told), _missing(scores)]
    for name, found in scores.items():
        parts += [f"### {SETS[name].title}, {SETS[name].size} pixels", table(found)]
    seconds = sum(float(fact["seconds"]) for fact in results.values())
    parts += [f"{len(results)} results, {seconds / 3600:.1f} hours of CPU."]
    return "\n\n".join(part for part in parts if part)


def _by_set(results: Mapping[Any, Mapping[str, Any]]) -> Scores:
    scores: Scores = {}
    for job, fact in sorted(results.items(), key=lambda item: (item[0].count, item[0].seed)):
        own = scores.setdefault(job.set, {}).setdefault(job.count, {})
        own.setdefault(job.arm, []).append(100 * float(fact["accuracy"]))
    complete = {  # a row is shown once every arm has the same seeds
        name: {n: arms for n, arms in rows.items() if _same(arms)} for name, rows in scores.items()
    }
    return {name: complete[name] for name in SETS if complete.get(name)}


def _same(arms: Mapping[str, Sequence[float]]) -> bool:
    return arms.keys() == COLUMNS.keys() and len({len(own) for own in arms.values()}) == 1


def _missing(scores: Scores) -> str:
    gone = [
        f"{name} {count}"
        for name, each in SETS.items()
        for count in each.counts
        if len(scores.get(name, {}).get(count, {}).get("head", [])) < 5
    ]
    return f"Fewer than five seeds as yet, or none: {', '.join(gone)} a class." if gone else ""


def readings(name: str, rows: Mapping[int, Mapping[str, Sequence[float]]]) -> list[str]:
    """A line for each thing that is taught, and whether it holds of one set."""
    few, many = min(rows), max(rows)
    lines = [_worth(name, few, rows[few]), _which(name, few, rows[few])]
    if few != many:
        lines += [_worth(name, many, rows[many]), _deeper(name, rows)]
    return lines


def _worth(name: str, count: int, arms: Mapping[str, Sequence[float]]) -> str:
    best = max((arm for arm in arms if arm != "scratch"), key=lambda arm: _mean(arms[arm]))
    gain, sure = gained(arms[best], arms["scratch"])
    told = "" if sure else ", of one seed" if len(arms[best]) == 1 else ", within the noise"
    return (
        f"{name}, {count} a class: transfer is worth {gain:.1f} points{told} "
        f"({COLUMNS[best]} {_mean(arms[best]):.1f}%, from scratch {_mean(arms['scratch']):.1f}%)."
    )


def _which(name: str, count: int, arms: Mapping[str, Sequence[float]]) -> str:
    gain, sure = gained(arms["keep"], arms["head"])
    told = f"{name}, {count} a class: ending earlier against the network's own features {gain:+.1f}"
    if not sure:
        return f"{told}, of one seed." if len(arms["keep"]) == 1 else f"{told}, within the noise."
    return f"{told}: {'earlier' if gain > 0 else 'late'} layers serve better."


def _deeper(name: str, rows: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    gains = {count: _mean(arms["all"]) - _mean(arms["head"]) for count, arms in rows.items()}
    listed = ", ".join(f"{count} a class {gain:+.1f}" for count, gain in gains.items())
    few, many = min(gains), max(gains)
    holds = "as taught" if gains[many] > gains[few] else "not as taught"
    return f"{name}: everything trained against the head alone, in points: {listed}; {holds}."


def table(rows: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """A row per number of pictures, a column per way."""
    header = ["per class", *COLUMNS.values(), "seeds"]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for count, arms in rows.items():
        best = max(arms, key=lambda arm: _mean(arms[arm]))
        cells = [_cell(arms[arm], arms[best]) for arm in COLUMNS]
        lines.append(f"| {' | '.join([str(count), *cells, str(len(arms[best]))])} |")
    return "\n".join(lines)


def _cell(own: Sequence[float], best: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(own):.1f}" if len(own) > 1 else ""
    told = f"{_mean(own):.1f}{spread}"
    _, apart = gained(best, own)
    alone = len(own) == 1 and own != best  # of one seed nothing is known of the noise
    return told if apart or alone else f"**{told}**"


def gained(own: Sequence[float], other: Sequence[float]) -> tuple[float, bool]:
    """The mean paired difference, and whether it is above two standard errors: never of one seed.

    >>> gained([3.0, 4.0, 5.0], [1.0, 2.1, 2.9])
    (2.0, True)
    """
    pairs = [a - b for a, b in zip(own, other, strict=True)]
    if len(pairs) < 2:
        return pairs[0], False
    error = statistics.stdev(pairs) / math.sqrt(len(pairs))
    return statistics.mean(pairs), abs(statistics.mean(pairs)) > 2 * error


def _mean(own: Sequence[float]) -> float:
    return statistics.mean(own)
