"""The ways to use a network, tried for short, as far as there are pictures and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_core.advice.affordable import Affordable
from zoo_core.advice.arms import Arm, Trial
from zoo_core.advice.halving import Halving
from zoo_core.advice.sample import sampled
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError
from zoo_core.training.preparing import split

HELD_OUT = 10  # pictures to validate with that tell anything
NOT_ENOUGH = "There is not enough to say which way is best: none was tried."


@dataclass(frozen=True)
class Tried:
    """Trials that can be compared, cheapest first; those dropped before; lines about what was not
    tried; how many pictures there were, and how many of them to train with.

    `notes`: why nothing was tried.
    """

    final: list[Trial] = field(default_factory=list)
    dropped: list[Trial] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    count: int = 0
    trained: int = 0
    notes: list[str] = field(default_factory=list)

    def of(self, arm: Arm) -> Trial | None:
        """The trial of a way, where it can be compared."""
        return next((trial for trial in self.final if trial.arm is arm), None)


def try_ways(
    arms: list[Arm],
    keep: Sequence[Arm],
    pictures: Pictures,
    val: Any,
    time: Affordable,
    seed: int,
    tell: Callable[[str], None],
) -> Tried:
    """Short trainings of all ways, longer and longer of the better half, and of those of `keep`."""
    count = time.to_train()
    if not count:
        return _nothing_tried("The time is too short for any training.")
    sample = sampled(pictures, count, seed)
    try:
        train, held_out = split(sample, val, seed, progress=False)
    except DataError as error:
        if val is not None:
            raise
        return _nothing_tried(error.message)
    assert held_out is not None
    held_out = sampled(held_out, max(len(sample) // 2, HELD_OUT), seed)
    if len(held_out) < HELD_OUT:
        return _nothing_tried(f"{len(held_out)} pictures are too few to validate with.")
    halving = Halving(train, held_out, seed, time.clock, time.speed, tell)
    halving.run(arms, keep)
    final, dropped = halving.final(arms), halving.dropped(arms)
    return Tried(final, dropped, halving.left, len(sample), len(train))


def _nothing_tried(reason: str) -> Tried:
    return Tried(notes=[NOT_ENOUGH, reason])
