"""Which way is advised: the usual one for such pictures, unless trials speak clearly against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_core.advice.arms import ALL, ALONE, KEEP, LAST, SCRATCH, Arm, Trial
from zoo_core.advice.evidence import Evidence, beyond_chance
from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel

FEW = 20  # pictures of a class, below which a head alone is enough for what is near
LARGE = 5000  # parameters a picture, above which they are too few to train them all
SURE = 3.0  # standard errors by which another way has to be more often right


@dataclass(frozen=True)
class Amount:
    """How many pictures there are of a class, on average, and parameters for each picture."""

    each: float
    parameters: float

    @property
    def few(self) -> bool:
        """Whether a class has few pictures."""
        return self.each < FEW

    @property
    def overwhelmed(self) -> bool:
        """Whether the network has too many parameters for so few pictures to train them all."""
        return self.parameters > LARGE


def amount_of(network: ZooModel, pictures: Pictures) -> Amount:
    classes = sum(count > 0 for count in pictures.class_counts())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Amount(len(pictures) / max(classes, 1), parameters / len(pictures))


def usual(arms: Sequence[Arm], evidence: Evidence, amount: Amount) -> Arm:
    """The way that is usually right.

    It is the textbook's table, as measured on the tuning half of benchmarks/tasks.py. Near and few:
    a head alone; near and more: the last stage. Else everything, from the weights that are there;
    from scratch where random weights do better than those. A network with very many parameters for
    so few pictures keeps its features whatever they are: up to the boundary that is clearly best.
    """
    if amount.overwhelmed and arms[0].name.startswith(KEEP):
        return arms[0]
    if amount.overwhelmed or evidence.leaning == "near":
        name = ALONE if amount.few else LAST
    else:
        worse = evidence.similarity == "far" and evidence.control.loss < evidence.best.loss
        name = SCRATCH if worse else ALL
    found = (arm for arm in arms if arm.name.startswith(name))
    return next(found, None) or next(arm for arm in arms if arm.name == ALONE)


def untried(arms: Sequence[Arm], evidence: Evidence, expected: Arm, hurry: bool) -> Arm:
    """What to advise where no way was tried: what is usual, with the weights.

    In a hurry, or for a handful of pictures, it is a solved head: on the boundary that is clearly
    best, or on the last features.
    """
    if hurry:
        early = arms[0].name.startswith(KEEP) and evidence.similarity == "medium"
        return arms[0] if early else next(arm for arm in arms if arm.name == ALONE)
    return expected if expected.name != SCRATCH else next(arm for arm in arms if arm.name == ALL)


def chosen(trials: Sequence[Trial], expected: Arm) -> Trial:
    """The usual way, or the one most often right of those that beat it beyond chance.

    `trials`: from the cheapest arm on; `expected`: from `usual`. A fifth of few pictures seldom
    tells ways apart, so that the best of them is one by chance: it takes three standard errors.
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
