"""The part of docs/advice.md that is measured: regret, beside that of constants."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.page_parts import table
from benchmarks.regret import Answers, Regrets, behind, interval, regret
from zoo_core.advice.arms import ALL, ALONE, LAST

ROWS: dict[str, str | None] = {
    "what is advised": None,
    "always the head": ALONE,
    "always the last stage": LAST,
    "always everything": ALL,
}
PLACES: dict[str, Callable[[str, Mapping[str, float], Sequence[str]], float]] = {
    "the first of rank": lambda name, left_out, names: left_out["loss"],
    "the first by accuracy": lambda name, left_out, names: -left_out["accuracy"],
    "always the biggest": lambda name, left_out, names: -names.index(name),
}


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
    both = f"Both together, {_many(len(found) + len(reported), 'question')}:"
    parts = [f"{told} {_questions(found)}", ways_table(found), by_network(found)]
    return "\n\n".join([*parts, both, ways_table({**reported, **found})])


def _questions(found: Answers) -> str:
    """Which they are, in a sentence."""
    tasks = dict.fromkeys(question.task for question in found)
    asked = sorted({(question.network, question.count, question.seed) for question in found})
    kinds = [
        f"{network} at {count} a class, {_many(len([*own]), 'seed')}"
        for (network, count), own in itertools.groupby(asked, key=lambda one: one[:2])
    ]
    of = f"{_many(len(found), 'question')} of {_many(len(tasks), 'task')}"
    return f"{of} ({', '.join(tasks)}): {'; '.join(kinds)}."


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def without_luck(found: Answers) -> str:
    """What is left of the regret where hindsight does not help the best way."""
    several = {q: a for q, a in found.items() if a["foreseen"] is not None}
    if not several:
        return ""
    told = (
        "Regret counts luck, too: of ways that are as good, one is best in hindsight. Of the "
        f"{len(several)} questions that have other seeds, the way that is best by those comes to "
        "so many points more on this one:"
    )
    titles = ["way", "behind the way that is best by the other seeds"]
    rows = [[title, _signed(own)] for title, own in _by_way(several, behind).items()]
    return f"{told}\n\n{table(titles, rows)}"


def by_network(found: Answers) -> str:
    """The same for each network and number of pictures, means alone."""
    kinds = sorted({(question.network, question.count) for question in found})
    rows = []
    for network, count in kinds:
        own = [a for q, a in found.items() if (q.network, q.count) == (network, count)]
        means = [statistics.mean(regret(a, way) for a in own) for way in ROWS.values()]
        rows.append([network, str(count), *(f"{mean:.2f}" for mean in means)])
    return table(["network", "a class", *ROWS], rows)


def ways_table(found: Answers) -> str:
    """Mean regret of the advised way, and of each constant."""
    return _compared(["way", "regret", "more than what is advised"], _by_way(found, regret))


def _by_way(
    found: Answers, points: Callable[[Mapping[str, Any], str | None], float]
) -> dict[str, Regrets]:
    """What each row has of every question."""
    return {
        title: [(q.task, points(answer, way)) for q, answer in found.items()]
        for title, way in ROWS.items()
    }


def networks(found: Answers, names: Sequence[str]) -> str:
    """Mean regret of the first of the ranking, of the first by accuracy, and of the biggest."""
    asked: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for q, answer in found.items():
        asked.setdefault((q.task, q.count, q.seed), {})[q.network] = answer
    several = {key: own for key, own in asked.items() if len(own) > 1}
    if not several:
        return ""
    places: dict[str, Regrets] = {title: [] for title in PLACES}
    for (task, *_), own in several.items():
        best = {name: max(a["ways"][way] for way in a["own"]) for name, a in own.items()}
        for title, place in PLACES.items():
            chosen = min(own, key=lambda name: place(name, own[name]["left_out"], names))
            places[title].append((task, 100 * (max(best.values()) - best[chosen])))
    return _compared(["network", "regret", "more than the first"], places)


def _compared(titles: Sequence[str], rows: Mapping[str, Regrets]) -> str:
    """The mean regret of each, and how much more that is than the first's."""
    first, cells = next(iter(rows.values())), []
    for title, own in rows.items():
        more = [(task, a - b) for (task, a), (_, b) in zip(own, first, strict=True)]
        mean, low, high = interval(own)
        cell = f"{mean:.2f} ({low:.2f} to {high:.2f})"
        cells.append([title, cell, "" if own is first else _signed(more)])
    return table(titles, cells)


def _signed(points: Regrets) -> str:
    mean, low, high = interval(points)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
