"""advise(): how much of a network to keep, freeze and train, by short trainings under a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.advice.answer import Advice
from zoo_core.advice.arms import SCRATCH, Arm, Trial, arguments, arms_of
from zoo_core.advice.beginning import Beginning, beginning
from zoo_core.advice.budget import Budget, seconds_of
from zoo_core.advice.choosing import by_features, chosen, reason, untried, usual
from zoo_core.advice.evidence import HEAD, Evidence, beyond_chance, gathered
from zoo_core.advice.halving import LONGER, Halving, first_epochs
from zoo_core.advice.questions import told_apart
from zoo_core.advice.recipe import command_for, recipe_for
from zoo_core.advice.sample import sampled
from zoo_core.advice.scores import interval
from zoo_core.advice.timing import seconds_to_compare, seconds_to_solve, speed_of
from zoo_core.advice.words import why
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError
from zoo_core.model.boundaries import Pooling
from zoo_core.model.pooled import poolings_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.terminal.lines import say
from zoo_core.training.preparing import split

MOST = 4000  # pictures that are looked at
WORK = (1.5, 2.2, 3.0, 3.0)  # forward passes, about, of an epoch of each way that takes steps
WAYS, CONSTANT = 6, 0.1  # how many there are, and seconds that a training takes, however short
EVIDENCE, SHORTEST = 0.25, 0.5  # of what is left, for evidence, and for the shortest trainings
FEWEST = 20  # pictures that tell anything about a training
ENOUGH = 200  # that are looked at whatever the time, where there are many classes
NOT_ENOUGH = "There is not enough to say: this is what the features alone tell."
HELD_OUT = 10  # pictures to validate with that tell anything


def advise(
    model: str | Path | ZooModel,
    data: Any,
    *,
    val: Any = None,
    budget: str | float = "5m",
    seed: int = 0,
    progress: bool = True,
) -> Advice:
    """Say how much of a pretrained network to keep, freeze and train for some pictures.

    `model`: a name or a path, with weights, or what `zoo.create` made of one, such as with
    `img_size=128`. `data`, `val`: as of `zoo.finetune`; of many pictures a sample is looked at.
    `budget`: the time that it may take (`"90s"`, `"5m"`, or seconds). `seed`: of the sample, the
    split and the trainings. `progress`: what is done, on stderr.

    First, heads are solved on what enters each stage, of this network and of one with random
    weights; then a few ways are trained for short, the better half for longer (successive halving),
    as far as `budget` allows. What is advised is the way that is usually right for pictures so
    similar and so many, unless another is more often right on those held out, by two standard
    errors. Its `recipe` is that of `zoo.finetune`, and runs with `zoo finetune --recipe`.

    Raises DataError for one class or pictures that cannot be read, WeightsError for a model without
    weights, RecipeError for one that was changed since it was made.

    >>> import zoo_core as zoo
    >>> advice = zoo.advise("lenet5", "digits#test", budget="5s", progress=False)
    >>> advice.recipe["start"]["model"], advice.rows[0]["accuracy"] > 0.9
    ('lenet5', True)
    """
    seconds = seconds_of(budget)
    network, start = beginning(model)
    pictures = open_data(data, progress=progress)
    told_apart(pictures)
    clock = Budget(seconds)  # from now on, whatever it took to import and to open all this
    return _Question(network, start, data, pictures, val, clock, seed, progress).answer()


@dataclass(frozen=True)
class Tried:
    """Trials that can be compared, cheapest first; those dropped before; lines about what was not
    tried; how many pictures there were, and how many of them to train with."""

    final: list[Trial] = field(default_factory=list)
    dropped: list[Trial] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    count: int = 0
    trained: int = 0
    hurry: bool = False

    def rows(self, best: Trial | None, seed: int) -> list[dict[str, Any]]:
        """A row each: the advised one, the others that went as far, the dropped ones."""
        last = sorted(self.final, key=lambda trial: (trial is not best, trial.loss))
        first = sorted(self.dropped, key=lambda trial: trial.loss)
        return [_row(trial, seed) for trial in (*last, *first)]


class _Question:
    """What was asked, and what of it is known so far."""

    def __init__(
        self,
        network: ZooModel,
        start: Beginning,
        data: Any,
        pictures: Pictures,
        val: Any,
        clock: Budget,
        seed: int,
        progress: bool,
    ) -> None:
        self.network, self.start, self.data, self.pictures = network, start, data, pictures
        self.val, self.clock, self.seed, self.progress = val, clock, seed, progress
        self.speed = speed_of(network, pictures)
        self.classes, found = pictures.num_classes, poolings_of(network).values()
        # pictures of a class, on average
        self.each = len(pictures) / max(sum(n > 0 for n in pictures.class_counts()), 1)
        self.widths = [how.width for how in found if isinstance(how, Pooling)]
        self.notes: list[str] = []

    def answer(self) -> Advice:
        sample = self._looked_at()
        evidence = gathered(self.network, sample, self.seed, self.progress)
        arms = arms_of(self.start, self.network, evidence)
        expected = usual(arms, evidence, self.each)
        tried = self._tried(arms, expected)
        count = tried.count if tried.final else len(sample)
        if tried.final:
            best = chosen(tried.final, expected)
            arm, how = best.arm, arguments(best.arm, best.epochs, tried.trained, self.seed)
        else:
            hurry = tried.hurry or len(self.pictures) < FEWEST
            arm = by_features(arms, evidence) if hurry else untried(arms, expected)
            best = None
            most = len(self.pictures) * 4 // 5
            how = arguments(arm, first_epochs(most) * LONGER, most, self.seed)
        self._doubt(evidence, tried.final)
        return self._advice(arm, best, tried, evidence, expected, count, how)

    # --- how much there is time for --------------------------------------------------------------

    def _looked_at(self) -> Pictures:
        """As many pictures as there is time to judge features by."""
        least = max(FEWEST, min(2 * self.pictures.num_classes, ENOUGH))
        count = self._most(self._evidence, EVIDENCE * self.clock.left, least)
        return sampled(self.pictures, max(count, least), self.seed)

    def _most(self, seconds: Callable[[int], float], room: float, least: int) -> int:
        """As many pictures as take no longer than `room`; 0 where `least` of them do."""
        count = min(len(self.pictures), MOST)
        while count > least and seconds(count) > room:
            count = max(count * 3 // 4, least)
        return count if seconds(count) <= room else 0

    def _evidence(self, count: int) -> float:
        """Seconds to look at so many pictures, and to solve heads: with random weights, too."""
        solving = sum(seconds_to_compare(count, wide) for wide in self.widths)
        return 2 * (self.speed.looking(count) + solving)

    def _shortest(self, count: int) -> float:
        """Seconds of the shortest trainings of all ways; each begins with a solved head."""
        solving = seconds_to_solve(count, self.widths[-1], self.classes) if self.widths else 0.0
        val, epochs = count // 5, first_epochs(count)
        steps = sum(self.speed.training(count - val, val, epochs, work) for work in WORK)
        return steps + WAYS * (solving + CONSTANT)

    def _tried(self, arms: list[Arm], expected: Arm) -> Tried:
        """What short trainings come to, as far as there is time and there are pictures for any."""
        count = self._most(self._shortest, SHORTEST * self.clock.left, FEWEST)
        if not count:
            return self._nothing_tried("The time is too short for any training.", hurry=True)
        sample = sampled(self.pictures, count, self.seed)
        try:
            train, val = split(sample, self.val, self.seed, progress=False)
        except DataError as error:
            if self.val is not None:
                raise
            return self._nothing_tried(error.message)
        assert val is not None
        val = sampled(val, max(len(sample) // 2, HELD_OUT), self.seed)
        if len(val) < HELD_OUT:
            return self._nothing_tried(f"{len(val)} pictures are too few to validate with.")
        tell = say if self.progress else _nothing
        halving = Halving(train, val, self.seed, self.clock, self.speed, tell)
        halving.run(arms, [expected])
        return Tried(
            halving.final(arms), halving.dropped(arms), halving.left, len(sample), len(train)
        )

    def _nothing_tried(self, reason: str, hurry: bool = False) -> Tried:
        self.notes += [NOT_ENOUGH, reason]
        return Tried(hurry=hurry)

    # --- what follows ----------------------------------------------------------------------------

    def _doubt(self, evidence: Evidence, trials: list[Trial]) -> None:
        """Notes of why not too much should be expected."""
        if not evidence.tells:
            self.notes.append("No features tell these classes apart better than their sizes do.")
        if evidence.similarity == "far":
            self.notes.append("Transfer has little value here: random weights do as well.")
        elif _is_no_better_than_scratch(trials):
            self.notes.append("Transfer has little value here: training from scratch does as well.")

    def _advice(
        self,
        arm: Arm,
        best: Trial | None,
        tried: Tried,
        evidence: Evidence,
        expected: Arm,
        count: int,
        how: dict[str, Any],
    ) -> Advice:
        val = self._validation()
        recipe = recipe_for(arm.model, self.data, val, how)
        spec = str(self.data) if isinstance(self.data, str | Path) else ""
        named = isinstance(val, str | Path | bool | None)
        command = command_for(arm.model, spec, val, how) if spec and named else ""
        name, total = str(self.start.model), len(self.pictures)
        rows = tried.rows(best, self.seed) or [_probed(arm, evidence, self.seed)]
        return Advice(
            rows,
            recipe,
            model=name,
            data=self.pictures.name,
            why=why(name, evidence, self.each, arm.name, reason(arm, tried.final, expected)),
            similarity=evidence.similarity,
            probes=evidence.rows(self.seed),
            left=tried.left,
            notes=self.notes,
            command=command,
            count=count,
            total=total,
            spent=self.clock.spent,
            seconds=best.seconds * total / count if best else None,
            bytes=best.bytes if best else None,
        )

    def _validation(self) -> Any:
        """What the recipe validates with: a fifth, where each class has a picture to spare."""
        if self.val is not None:
            return self.val
        try:
            split(self.pictures, None, self.seed)
        except DataError:
            return False
        return None


def _is_no_better_than_scratch(trials: list[Trial]) -> bool:
    scratch = next((trial for trial in trials if trial.arm.name == SCRATCH), None)
    others = [trial for trial in trials if trial.arm.name != SCRATCH]
    if scratch is None or not others:
        return False
    best = min(others, key=lambda trial: trial.loss)
    return not beyond_chance(best.losses, scratch.losses)


def _row(trial: Trial, seed: int) -> dict[str, Any]:
    low, high = interval(trial.right, seed)
    return {"arm": trial.arm.name, "accuracy": float(trial.right.mean()), "low": low, "high": high,
            "loss": trial.loss, "seconds": trial.seconds, "epochs": trial.epochs,
            "bytes": trial.bytes}  # fmt: skip


def _probed(arm: Arm, evidence: Evidence, seed: int) -> dict[str, Any]:
    """A row of a way that was not tried: how its solved head does, from which others go on."""
    stage = arm.how.get("keep_until", HEAD)
    own = (judged for judged in evidence.stages if judged.stage == stage)
    judged = next(own, evidence.best)
    low, high = interval(judged.right, seed)
    return {"arm": arm.name, "accuracy": float(judged.right.mean()), "low": low, "high": high,
            "loss": judged.loss, "seconds": 0.0, "epochs": 0, "bytes": None}  # fmt: skip


def _nothing(text: str) -> None:
    """Nobody wants to be told."""
