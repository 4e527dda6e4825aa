"""How far an answer of benchmarks/advice.py is behind the best way: its regret, in points."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from zoo_core.advice.arms import ALONE, SCRATCH

DRAWS = 10_000
Answers = Mapping[Any, Mapping[str, Any]]
Regrets = list[tuple[str, float]]
"""Points by question, each with its task, since questions of one task are not independent."""


def joined(ways: Answers, said: Answers) -> dict[Any, dict[str, Any]]:
    """Answers with `ways`, what each way comes to (the mean over seeds), `took`, the seconds of
    all ways of advise(), and `own`, the names of those that advise() has for these pictures.
    `here`: what they come to on this seed; `foreseen`: the best of them by the other seeds, None
    where there is no other."""
    cells: dict[Any, dict[int, dict[str, float]]] = {}
    for question, measured in ways.items():
        accuracies = {name: accuracy for name, (accuracy, _) in measured["ways"].items()}
        cells.setdefault(_cell(question), {})[question.seed] = accuracies
    found = {}
    for question, answer in said.items():
        measured, by_seed = ways[question], cells[_cell(question)]
        names = list(measured["ways"])
        own = names[: names.index(SCRATCH) + 1]
        others = [one for seed, one in by_seed.items() if seed != question.seed]
        shared = [name for name in own if others and all(name in one for one in others)]
        every = dict.fromkeys(name for one in by_seed.values() for name in one)
        found[question] = {
            **answer,
            "ways": {name: _mean(by_seed.values(), name) for name in every},
            "took": math.fsum(measured["ways"][name][1] for name in own),
            "own": own,
            "left_out": measured["left_out"],
            "here": by_seed[question.seed],
            "foreseen": max(shared, key=lambda name: _mean(others, name), default=None),
        }
    return found


def _mean(seeds: Iterable[Mapping[str, float]], name: str) -> float:
    """What a way comes to on average, of the seeds that have it."""
    return statistics.mean(one[name] for one in seeds if name in one)


def _cell(question: Any) -> tuple[str, str, int]:
    return question.task, question.network, question.count


def regret(answer: Mapping[str, Any], way: str | None) -> float:
    """Points that a constant way, or the advised one, is behind the best of what advise() has."""
    ways = answer["ways"]
    return 100 * (max(ways[one] for one in answer["own"]) - ways[named(answer, way)])


def behind(answer: Mapping[str, Any], way: str | None) -> float:
    """Points that it is behind the way that is best by the other seeds, on this one."""
    here = answer["here"]
    return 100 * (here[answer["foreseen"]] - here[named(answer, way)])


def named(answer: Mapping[str, Any], way: str | None) -> str:
    """The name of a constant way, which is known by how it begins: `last stage` is `last stage,
    block7`; where a network has no such way, it is the head alone. None: of the advised way."""
    if way is None:
        return answer["advised"]
    return next((name for name in answer["ways"] if name.startswith(way)), ALONE)


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
