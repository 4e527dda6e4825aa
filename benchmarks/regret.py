"""What the answers of benchmarks/advice.py come to: regret, beside that of constants."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo_core.advice.arms import ALL, ALONE, LAST, SCRATCH

CONSTANTS = {
    "always the head": ALONE,
    "always the last stage": LAST,
    "always everything": ALL,
}
ROWS: dict[str, str | None] = {"what is advised": None, **CONSTANTS}
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


def section(found: Answers, doc: str, names: Sequence[str]) -> str:
    """The part of the page. `names`: of networks, from the smallest to the biggest."""
    method = " ".join(doc.split("\n\n")[1].split())
    parts = ["## Measured", f"`python -m benchmarks.advice`. {method}"]
    if not found:
        return "\n\n".join([*parts, "Not measured yet."])
    parts += [f"{_questions(found)} Intervals: 95%, by drawing tasks anew."]
    parts += [ways_table(found), by_network(found)]
    share = sum(a["seconds"] for a in found.values()) / sum(a["took"] for a in found.values())
    inside = sum(a["low"] <= a["ways"][a["advised"]] <= a["high"] for a in found.values())
    parts += [
        f"Asking takes {share:.2f} of the time of training all ways. What the advised way came to "
        f"is within the interval that was told in {inside} of {len(found)}."
    ]
    parts += [without_luck(found), networks(found, names)]
    return "\n\n".join(part for part in parts if part)


def unseen(found: Answers, reported: Answers) -> str:
    """The same, in short, of tasks that came after the rule was done; and of both together."""
    if not found:
        return ""
    told = "Tasks added after the rule was done, which was not changed for them (`--half later`):"
    both = f"Both together, {len(found) + len(reported)} questions:"
    parts = [f"{told} {_questions(found)}", ways_table(found), by_network(found)]
    return "\n\n".join([*parts, both, ways_table({**reported, **found})])


def _questions(found: Answers) -> str:
    """Which they are, in a sentence."""
    tasks = dict.fromkeys(question.task for question in found)
    asked = sorted({(question.network, question.count, question.seed) for question in found})
    several = [
        f"{network} at {count} a class, {_seeds(len([*own]))}"
        for (network, count), own in itertools.groupby(asked, key=lambda one: one[:2])
    ]
    return (
        f"{len(found)} questions of {len(tasks)} tasks ({', '.join(tasks)}): {'; '.join(several)}."
    )


def without_luck(found: Answers) -> str:
    """What is left of the regret where hindsight does not help the best way."""
    several = {q: a for q, a in found.items() if a["foreseen"] is not None}
    if not several:
        return ""
    lines = ["| way | behind the way that is best by the other seeds |", "|---|--:|"]
    for title, way in ROWS.items():
        behind = [
            (q.task, 100 * (a["here"][a["foreseen"]] - a["here"][_named(a, way)]))
            for q, a in several.items()
        ]
        lines.append(f"| {title} | {_signed(behind)} |")
    told = (
        "Regret counts luck, too: of ways that are as good, one is best in hindsight. Of the "
        f"{len(several)} questions that have other seeds, the way that is best by those comes to "
        "so many points more on this one:"
    )
    return told + "\n\n" + "\n".join(lines)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def by_network(found: Answers) -> str:
    """The same for each network and number of pictures, means alone."""
    lines = ["| network | a class | " + " | ".join(ROWS) + " |",
             "|---|" + "--:|" * (1 + len(ROWS))]  # fmt: skip
    kinds = sorted({(question.network, question.count) for question in found})
    for kind in kinds:
        own = {q: a for q, a in found.items() if (q.network, q.count) == kind}
        means = [statistics.mean(_regret(a, way) for a in own.values()) for way in ROWS.values()]
        cells = " | ".join(f"{mean:.2f}" for mean in means)
        lines.append(f"| {kind[0]} | {kind[1]} | {cells} |")
    return "\n".join(lines)


def ways_table(found: Answers) -> str:
    """Mean regret of the advised way, and of each constant."""
    rows = {title: [(q.task, _regret(a, way)) for q, a in found.items()]
            for title, way in ROWS.items()}  # fmt: skip
    advised = rows["what is advised"]
    lines = ["| way | regret | more than what is advised |", "|---|--:|--:|"]
    return "\n".join(lines + [_line(title, own, advised) for title, own in rows.items()])


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
        best = {name: max(a["ways"][way] for way in a["own"]) for name, a in own.items()}
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
    return f"| {title} | {cell} | {_signed(more)} |"


def _signed(points: Regrets) -> str:
    mean, low, high = interval(points)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def _regret(answer: Mapping[str, Any], way: str | None) -> float:
    """Points that a constant way, or the advised one, is behind the best of what advise() has."""
    ways = answer["ways"]
    return 100 * (max(ways[one] for one in answer["own"]) - ways[_named(answer, way)])


def _named(answer: Mapping[str, Any], way: str | None) -> str:
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
