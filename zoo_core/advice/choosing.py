"""Which way is advised: the usual one for such pictures, unless trials speak clearly against it."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.advice.arms import ALL, ALONE, LAST, SCRATCH, Arm, Trial
from zoo_core.advice.evidence import beyond_chance

FEW = 20  # pictures of a class, below which a head alone is enough for what is near
SURE = 2.0  # standard errors by which another way has to be more often right


def usual(arms: Sequence[Arm], similarity: str, each: float) -> list[Arm]:
    """The way that is usually right, then those that take its place where it is not as good.

    `similarity`: as `Evidence` has it; `each`: pictures of a class. It is the textbook's table, as
    measured on the tuning half of benchmarks/tasks.py: near and few, a head alone; near and more,
    the last stage; else everything, from the weights that are there. Where random weights do as
    well, those may be the better beginning.
    """
    near = ALONE if each < FEW else LAST
    names = {"near": [near], "far": [SCRATCH, ALL]}.get(similarity, [ALL])
    found = [arm for name in names for arm in arms if arm.name.startswith(name)]
    return found or [arm for arm in arms if arm.name == ALONE]


def chosen(trials: Sequence[Trial], expected: Sequence[Arm]) -> Trial:
    """The usual way, or the one most often right of those that beat it beyond chance.

    `trials`: from the cheapest arm on; `expected`: from `usual`. A fifth of few pictures seldom
    tells ways apart, so that the best of them is one by chance: it takes two standard errors. The
    first of two usual ways gives way to the second by one, since with random weights a short
    training comes to less than a long one. Without a trial of either, it is the way that goes as
    far back as there was time for.
    """
    start = _tried(trials, expected)
    better = [one for one in trials if beyond_chance(-one.right, -start.right, errors=SURE)]
    return max(better, key=lambda one: (float(one.right.mean()), -one.loss), default=start)


def _tried(trials: Sequence[Trial], expected: Sequence[Arm]) -> Trial:
    found = [one for arm in expected for one in trials if one.arm is arm]
    if len(found) == 2:
        first, second = found
        return second if beyond_chance(-second.right, -first.right) else first
    if found:
        return found[0]
    return next((one for one in reversed(trials) if one.arm.name != SCRATCH), trials[0])


def reason(best: Trial | None, trials: Sequence[Trial], expected: Sequence[Arm]) -> str:
    """Why that was chosen, in words."""
    if best is None:
        return "nothing was tried, and this is the cheapest way"
    if any(best.arm is arm for arm in expected):
        return "it is what is usually right for such pictures, and no other way is clearly better"
    if any(one.arm is arm for one in trials for arm in expected):
        return "of the ways tried it is clearly better than what is usually right"
    return "what is usually right could not be tried, and this is the nearest to it"
