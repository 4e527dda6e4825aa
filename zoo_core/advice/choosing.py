"""Which way is advised: the usual one for such pictures, unless trials speak clearly against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_core.advice.arms import ALL, ALONE, HALF, KEEP, LAST, SCRATCH, Arm, Trial
from zoo_core.advice.evidence import HEAD, Evidence, beyond_chance
from zoo_core.advice.halving import LONGER, first_epochs
from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.parts import parts_of

FEW = 20  # pictures of a class, below which a head alone does
ENOUGH_TO_TRAIN = 20  # pictures that tell anything about a training
LARGE = 5_000  # parameters a picture, above which training them all may spoil what they know
OVERWHELMING = 50_000  # parameters a picture, above which they are too few to train them all
SURE = 3.0  # standard errors by which another way has to be more often right
LONG = LONGER**2  # times the shortest training, from which on one tells how a way ends


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
        return self.parameters > OVERWHELMING

    @property
    def large(self) -> bool:
        """Whether training all of its parameters may spoil what the network knows."""
        return self.parameters > LARGE


def amount_of(network: ZooModel, pictures: Pictures) -> Amount:
    """Of a network that gets another head, so that the one that it has does not count."""
    classes = sum(count > 0 for count in pictures.class_counts())
    parameters = sum(part.params for part in parts_of(network) if part.name != HEAD)
    return Amount(len(pictures) / max(classes, 1), parameters / len(pictures))


def usual(arms: Sequence[Arm], evidence: Evidence, amount: Amount) -> Arm:
    """The way that is usually right.

    It is the textbook's table, as measured on the tuning half of benchmarks/tasks.py. Near and few:
    a head alone; near and more: the second half. Else everything, from the weights that are there;
    from scratch where random weights do better than those. Of a large network it is the second half
    unless earlier features are clearly better. Few pictures for a very large network make a head,
    whatever they are: on an earlier boundary where one is as good (`arms.earlier`).
    """
    if amount.overwhelmed and amount.few:
        return _first(arms, KEEP, ALONE)
    near = evidence.leaning == "near"
    if near and amount.few:
        return _first(arms, ALONE)
    if near or amount.overwhelmed or (amount.large and not evidence.earlier_is_clear):
        # of a short network the second half is its last stage
        return _first(arms, HALF, LAST, ALONE)
    worse = evidence.similarity == "far" and evidence.control.loss < evidence.best.loss
    return _first(arms, SCRATCH if worse else ALL)


def _first(arms: Sequence[Arm], *names: str) -> Arm:
    """The first of these ways that there is; each is known by how its name begins."""
    return next(arm for name in names for arm in arms if arm.name.startswith(name))


def untried(arms: Sequence[Arm], evidence: Evidence, expected: Arm, pictures: int) -> Arm:
    """What to advise where what is usual was not tried: it all the same, but with the weights.

    Of a handful of pictures it is a solved head: on the boundary that is clearly best, or on the
    last features.
    """
    if pictures < ENOUGH_TO_TRAIN:
        medium = evidence.similarity == "medium"
        return _first(arms, KEEP, ALONE) if medium else _first(arms, ALONE)
    return expected if expected.name != SCRATCH else _first(arms, ALL)


def overruling(trials: Sequence[Trial], expected: Arm, pictures: int) -> Trial | None:
    """The way that is to be advised instead of the usual one, if trials speak clearly for any.

    `trials`: of `pictures` to train with. A fifth of few seldom tells ways apart, so that the best
    of them is one by chance, and short trainings speak for what learns quickly. So another way is
    right more often beyond three standard errors, after trainings that are not short any more.
    """
    usual = next((one for one in trials if one.arm is expected), None)
    if usual is None or max(one.epochs for one in trials) < LONG * first_epochs(pictures):
        return None
    better = [one for one in trials if beyond_chance(-one.right, -usual.right, errors=SURE)]
    return max(better, key=lambda one: (float(one.right.mean()), -one.loss), default=None)


def reason(arm: Arm, trials: Sequence[Trial], expected: Arm) -> str:
    """Why that way is advised, in words."""
    tried = [one.arm for one in trials]
    if arm is expected:
        so = "no other way is clearly better" if arm in tried else "it could not be tried"
        return f"it is what is usually right for such pictures, and {so}"
    if expected in tried:
        return "of the ways tried it is clearly better than what is usually right"
    if tried or expected.name == SCRATCH:
        return "what is usually right could not be tried, and this is the nearest to it"
    return "nothing was tried, and this is the cheapest way"
