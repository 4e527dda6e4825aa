"""Which way is advised: the usual one for such pictures, unless trials speak clearly against it."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.advice.arms import ALL, ALONE, LAST, SCRATCH, Arm, Trial
from zoo_core.advice.evidence import Evidence, beyond_chance

FEW = 20  # pictures of a class, below which a head alone is enough for what is near
SURE = 2.0  # standard errors by which another way has to be more often right


def usual(arms: Sequence[Arm], evidence: Evidence, each: float) -> Arm:
    """The way that is usually right; `each`: pictures of a class.

    It is the textbook's table, as measured on the tuning half of benchmarks/tasks.py. Near and few:
    a head alone; near and more: the last stage. Else everything, from the weights that are there;
    from scratch where random weights do better than those.
    """
    if evidence.leaning == "near":
        name = ALONE if each < FEW else LAST
    else:
        worse = evidence.similarity == "far" and evidence.control.loss < evidence.best.loss
        name = SCRATCH if worse else ALL
    found = (arm for arm in arms if arm.name.startswith(name))
    return next(found, None) or next(arm for arm in arms if arm.name == ALONE)


def untried(arms: Sequence[Arm], expected: Arm) -> Arm:
    """What to advise where pictures are too few to try ways: what is usual, with the weights."""
    return expected if expected.name != SCRATCH else next(arm for arm in arms if arm.name == ALL)


def by_features(arms: Sequence[Arm], evidence: Evidence) -> Arm:
    """What to advise in a hurry, or for a handful of pictures: a solved head, on the boundary that
    is clearly best, or on the last features."""
    if arms[0].name != ALONE and evidence.similarity == "medium":
        return arms[0]
    return next(arm for arm in arms if arm.name == ALONE)


def chosen(trials: Sequence[Trial], expected: Arm) -> Trial:
    """The usual way, or the one most often right of those that beat it beyond chance.

    `trials`: from the cheapest arm on; `expected`: from `usual`. A fifth of few pictures seldom
    tells ways apart, so that the best of them is one by chance: it takes two standard errors.
    Where there was no time for the usual way, it is the one that goes as far back as there was.
    """
    start = next((one for one in trials if one.arm is expected), None)
    if start is None:
        start = next((one for one in reversed(trials) if one.arm.name != SCRATCH), trials[0])
    better = [one for one in trials if beyond_chance(-one.right, -start.right, errors=SURE)]
    return max(better, key=lambda one: (float(one.right.mean()), -one.loss), default=start)


def reason(arm: Arm, trials: Sequence[Trial], expected: Arm) -> str:
    """Why that way is advised, in words."""
    if not trials and arm is expected:
        return "it is what is usually right for such pictures, and nothing could be tried"
    if not trials:
        return "nothing was tried, and this is the cheapest way"
    if arm is expected:
        return "it is what is usually right for such pictures, and no other way is clearly better"
    if any(one.arm is expected for one in trials):
        return "of the ways tried it is clearly better than what is usually right"
    return "what is usually right could not be tried, and this is the nearest to it"
