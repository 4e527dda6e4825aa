"""Whether a cache pays: time and bytes, predicted from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_core.data.loader import worker_count
from zoo_core.data.samples import Samples
from zoo_core.humanize import duration
from zoo_core.training.settings import Settings

WORTH = 0.05  # the share of the time that a cache must save


@dataclass(frozen=True)
class Cost:
    """Measured on a batch: seconds to read it and to run the prefix, and bytes of an activation."""

    reading: float
    prefix: float
    row: int


@dataclass(frozen=True)
class Forecast:
    """Seconds of a phase without and with a cache, of building it, and its bytes."""

    without: float
    building: float
    training: float
    bytes: int

    @property
    def pays(self) -> bool:
        """Whether it saves a share of the time that is worth the space."""
        return self.building + self.training < (1 - WORTH) * self.without

    def __str__(self) -> str:
        saved = f"about {duration(self.building + self.training)} in all"
        return f"{saved} instead of {duration(self.without)} without"


def forecast(
    cost: Cost,
    tail: float,
    sets: Sequence[Samples],
    settings: Settings,
    *,
    epochs: int,
    passes: int,
    missing: int,
) -> Forecast:
    """What a cache would save.

    `tail`: seconds of a training step from activations. `sets`: training, then validation pictures.
    `epochs`: how often each set is seen. `passes`: how many passes there are over the training set
    besides, to solve the head. `missing`: the rows that are not kept already.
    Pictures that fit in memory are read once in any case.
    """
    without = building = training = 0.0
    for number, samples in enumerate(sets):
        batches = -(-len(samples) // settings.batch_size)
        seen = epochs + passes if number == 0 else epochs
        stays = samples.can_be_held  # in memory
        readers = 1 if stays else max(worker_count(len(samples), settings.workers), 1)
        reading = cost.reading / readers
        read = min(samples.views, seen) if stays else seen
        without += batches * (read * reading + seen * cost.prefix)
        building += batches * samples.views * (reading + cost.prefix)
        # a step of validation has no gradients
        training += batches * epochs * (tail if number == 0 else tail / 3)
    rows = sum(len(samples) * samples.views for samples in sets)
    building *= missing / rows
    return Forecast(without + training, building, training, rows * cost.row)
