"""A few short trainings under a budget: all for a little, then the better half for longer."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from zoo_core.advice.arms import Arm, Trial, batch_size, is_finite, tried
from zoo_core.advice.budget import Budget
from zoo_core.advice.timing import Speed
from zoo_core.data.pictures import Pictures
from zoo_core.errors import RecipeError
from zoo_core.humanize import duration

STEPS = 30  # of the first, shortest trainings, at least
LONGER = 3  # times as long as the one before, for the better half
RUNGS = 4
SPARE = 0.9  # of the budget: what comes after takes time, too


def first_epochs(count: int) -> int:
    """The epochs of the shortest trainings with so many pictures.

    >>> first_epochs(80), first_epochs(1600)
    (3, 2)
    """
    return max(math.ceil(STEPS * batch_size(count) / max(count, 1)), 1)


@dataclass
class Halving:
    """`trials`: the longest of each arm, by its name; `left`: lines about what was left out.

    `speed`: of the network; `pace`: of trainings so far, as a multiple of what that foretold;
    `constant`: what any training takes, however short.
    """

    train: Pictures
    val: Pictures
    seed: int
    budget: Budget
    speed: Speed
    say: Callable[[str], None]
    trials: dict[str, Trial] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    pace: float = 1.0
    constant: float = 0.0

    def run(self, arms: list[Arm], keep: Collection[Arm] = ()) -> None:
        """Try arms, cheapest first, for longer and longer, as far as there is time for all that
        are left; those of `keep` are never dropped."""
        for arm in arms:
            if arm.solved:
                self._try(arm, 0)
        going, epochs = [arm for arm in arms if not arm.solved], first_epochs(len(self.train))
        for rung in range(RUNGS):
            if rung and sum(self.foretold(arm, epochs) for arm in going) > self._room:
                break
            done = [arm for arm in going if self._try(arm, epochs)]
            by_loss = sorted(done, key=lambda arm: self.trials[arm.name].loss)
            better = by_loss[: max(len(done) // 2, 1)]
            going = [arm for arm in done if arm in better or arm in keep]
            epochs *= LONGER

    @property
    def _room(self) -> float:
        """Seconds that trainings may still take."""
        return SPARE * self.budget.seconds - self.budget.spent

    def final(self, arms: list[Arm]) -> list[Trial]:
        """What is to be compared: those that went furthest, and those that take no steps."""
        found = [self.trials[arm.name] for arm in arms if arm.name in self.trials]
        most = max((trial.epochs for trial in found), default=0)
        return [trial for trial in found if trial.epochs == most or trial.arm.solved]

    def dropped(self, arms: list[Arm]) -> list[Trial]:
        """What was tried, and is not to be compared any more."""
        final = {trial.arm.name for trial in self.final(arms)}
        return [trial for name, trial in self.trials.items() if name not in final]

    def foretold(self, arm: Arm, epochs: int) -> float:
        """Seconds that a training will take, by those before."""
        before = self.trials.get(arm.name)
        if before is not None and before.epochs:
            return self.constant + max(before.seconds - self.constant, 0) * epochs / before.epochs
        return self.constant + self.pace * self._plain(epochs, arm.work)

    def _plain(self, epochs: int, work: float) -> float:
        return self.speed.training(len(self.train), len(self.val), epochs, work)

    def _try(self, arm: Arm, epochs: int) -> bool:
        expected = self.foretold(arm, epochs)
        if expected > self._room:
            if arm.name not in self.trials:
                self.left.append(f"{arm.name}: about {duration(expected)}, and no time was left")
            return False
        try:
            trial = tried(arm, self.train, self.val, epochs, self.seed)
        except RecipeError as error:  # such as a loss that is no number any more
            self.left.append(f"{arm.name}: {error.message}")
            return False
        if not is_finite(trial):
            self.left.append(f"{arm.name}: its scores are no numbers")
            return False
        self._learn(arm, trial)
        self.trials[arm.name] = trial
        epochs_told = f", {trial.epochs} epochs" if trial.epochs else ""
        self.say(f"{arm.name}{epochs_told}: {trial.right.mean():.1%}, log-loss {trial.loss:.3f}, "
                 f"{duration(trial.seconds)}")  # fmt: skip
        return True

    def _learn(self, arm: Arm, trial: Trial) -> None:
        """From how long a training took, for those to come."""
        if arm.solved:
            self.constant = max(trial.seconds - self._plain(0, arm.work), 0.0)
            return
        plain = max(self._plain(trial.epochs, arm.work), 1e-9)
        self.pace = max(trial.seconds - self.constant, 0.0) / plain
