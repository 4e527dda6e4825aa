"""How many pictures there is time for: to judge features by, and to train with."""

from __future__ import annotations

from collections.abc import Callable

from zoo_core.advice.budget import Budget
from zoo_core.advice.choosing import ENOUGH_TO_TRAIN
from zoo_core.advice.halving import first_epochs
from zoo_core.advice.timing import seconds_to_compare, seconds_to_solve, speed_of
from zoo_core.data.pictures import Pictures
from zoo_core.model.boundaries import Pooling
from zoo_core.model.pooled import poolings_of
from zoo_core.model.zoo_model import ZooModel

MOST = 4000  # pictures that are looked at
ENOUGH = 200  # that are looked at whatever the time, where there are many classes
EVIDENCE, SHORTEST = 0.25, 0.5  # of what is left, for evidence, and for the shortest trainings
WORK = (1.5, 2.2, 3.0, 3.0)  # forward passes, about, of an epoch of each way that takes steps
WAYS, CONSTANT = 6, 0.1  # how many there are, and seconds that a training takes, however short


class Affordable:
    """How many of the pictures a network can be judged by, in what is left of `clock`."""

    def __init__(self, network: ZooModel, pictures: Pictures, clock: Budget) -> None:
        self.clock, self.speed = clock, speed_of(network, pictures)
        self._count, self._classes = len(pictures), pictures.num_classes
        found = poolings_of(network).values()
        self._widths = [how.width for how in found if isinstance(how, Pooling)]

    def to_look_at(self) -> int:
        """How many to judge features by: some of each class, whatever the time."""
        least = max(ENOUGH_TO_TRAIN, min(2 * self._classes, ENOUGH))
        return max(self._most(self._evidence, EVIDENCE * self.clock.left, least), least)

    def to_train(self) -> int:
        """How many to try ways with; 0 where there is no time for any."""
        return self._most(self._shortest, SHORTEST * self.clock.left, ENOUGH_TO_TRAIN)

    def _most(self, seconds: Callable[[int], float], room: float, least: int) -> int:
        """As many pictures as take no longer than `room`; 0 where `least` of them do."""
        count = min(self._count, MOST)
        while count > least and seconds(count) > room:
            count = max(count * 3 // 4, least)
        return count if seconds(count) <= room else 0

    def _evidence(self, count: int) -> float:
        """Seconds to look at so many pictures, and to solve heads: with random weights, too."""
        solving = sum(seconds_to_compare(count, wide) for wide in self._widths)
        return 2 * (self.speed.looking(count) + solving)

    def _shortest(self, count: int) -> float:
        """Seconds of the shortest trainings of all ways; each begins with a solved head."""
        solving = seconds_to_solve(count, self._widths[-1], self._classes) if self._widths else 0.0
        val, epochs = count // 5, first_epochs(count)
        steps = sum(self.speed.training(count - val, val, epochs, work) for work in WORK)
        return steps + WAYS * (solving + CONSTANT)
