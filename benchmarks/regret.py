"""What the answers of benchmarks/advice.py come to: regret, beside that of constants."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_core.advice.arms import ALL, ALONE, LAST

CONSTANTS = {
    "always the head": ALONE,
    "always the last stage": LAST,
    "always everything": ALL,
}
DRAWS = 10_000
Answers = Mapping[Any, Mapping[str, Any]]
Regrets = list[tuple[str, float]]
"""Points by question, each with its task, since questions of one task are not independent."""


def section(found: Answers, doc: str, names: Sequence[str]) -> str:
    """The part of the page. `names`: of networks, from the smallest to the biggest."""
    method = " ".join(doc.split("\n\n")[1].split())
    parts = ["## Measured", f"`python -m benchmarks.advice`. {method}"]
    if not found:
        return "\n\n".join([*parts, "Not measured yet."])
    tasks = dict.fromkeys(question.task for question in found)
    seeds = {question.seed for question in found}
    parts += [
        f"{len(found)} questions of {len(tasks)} tasks ({', '.join(tasks)}), {len(seeds)} "
        f"{'seeds' if len(seeds) > 1 else 'seed'}, networks "
        f"{', '.join(name for name in names if any(q.network == name for q in found))}. Intervals: "
        "95%, by drawing tasks anew."
    ]
    parts += [ways(found)]
    share = sum(a["seconds"] for a in found.values()) / sum(map(_in_full, found.values()))
    inside = sum(a["low"] <= a["arms"][a["advised"]][0] <= a["high"] for a in found.values()
                 if a["advised"] in a["arms"])  # fmt: skip
    parts += [
        f"Asking takes {share:.2f} of the time of training all ways. What the advised way came to "
        f"is within the interval that was told in {inside} of {len(found)}."
    ]
    parts += [networks(found, names)]
    return "\n\n".join(part for part in parts if part)


def ways(found: Answers) -> str:
    """Mean regret of the advised way, and of each constant."""
    advised = [(q.task, _regret(a, a["advised"])) for q, a in found.items()]
    rows = [("what is advised", advised)]
    for title, name in CONSTANTS.items():
        rows.append((title, [(q.task, _regret(a, name)) for q, a in found.items()]))
    lines = ["| way | regret | more than what is advised |", "|---|--:|--:|"]
    return "\n".join(lines + [_line(title, own, advised) for title, own in rows])


def networks(found: Answers, names: Sequence[str]) -> str:
    """Mean regret of the first of the ranking, and of always the biggest network."""
    asked: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for q, answer in found.items():
        asked.setdefault((q.task, q.count, q.seed), {})[q.network] = answer
    several = {key: own for key, own in asked.items() if len(own) > 1}
    if not several:
        return ""
    first, biggest = [], []
    for (task, *_), own in several.items():
        best = {
            name: max(accuracy for accuracy, _ in a["arms"].values()) for name, a in own.items()
        }
        top = max(best.values())
        chosen = max(own, key=lambda name: own[name]["left_out"]["accuracy"])
        last = max(own, key=list(names).index)
        first.append((task, 100 * (top - best[chosen])))
        biggest.append((task, 100 * (top - best[last])))
    lines = ["| network | regret | more than the first |", "|---|--:|--:|"]
    lines += [_line("the first of rank", first, first)]
    lines += [_line("always the biggest", biggest, first)]
    return "\n".join(lines)


def _line(title: str, own: Regrets, other: Regrets) -> str:
    mean, low, high = interval(own)
    cell = f"{mean:.2f} ({low:.2f} to {high:.2f})"
    if own is other:
        return f"| {title} | {cell} | |"
    more = [(task, a - b) for (task, a), (_, b) in zip(own, other, strict=True)]
    mean, low, high = interval(more)
    return f"| {title} | {cell} | {mean:+.2f} ({low:+.2f} to {high:+.2f}) |"


def _regret(answer: Mapping[str, Any], way: str) -> float:
    """Points that a way is behind the best; one that the network has not is not chosen.

    A way is known by how its name begins: `last stage` is `last stage, block7`.
    """
    arms = {name: accuracy for name, (accuracy, _) in answer["arms"].items()}
    own = next((a for name, a in arms.items() if name.startswith(way)), None)
    if own is None:  # such as another boundary to end at, of fewer pictures
        own = next((a for name, a in arms.items() if name.split()[0] == way.split()[0]), None)
    if own is None:
        own = arms[ALONE]
    return 100 * (max(arms.values()) - own)


def _in_full(answer: Mapping[str, Any]) -> float:
    return sum(seconds for _, seconds in answer["arms"].values())


def interval(regrets: Regrets) -> tuple[float, float, float]:
    """The mean, and its 95% interval by drawing tasks with replacement.

    >>> interval([("a", 1.0), ("a", 2.0)])
    (1.5, 1.5, 1.5)
    """
    by_task = [
        [points for _, points in own]
        for _, own in itertools.groupby(sorted(regrets), key=lambda pair: pair[0])
    ]
    drawn, means = random.Random(0), []
    for _ in range(DRAWS):
        chosen = [points for own in drawn.choices(by_task, k=len(by_task)) for points in own]
        means.append(math.fsum(chosen) / len(chosen))
    means.sort()
    mean = statistics.mean(points for _, points in regrets)
    return mean, means[int(0.025 * DRAWS)], means[int(0.975 * DRAWS) - 1]
