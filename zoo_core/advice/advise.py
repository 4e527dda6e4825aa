"""advise(): how much of a network to keep, freeze and train, by short trainings under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.advice.affordable import Affordable
from zoo_core.advice.answer import Advice
from zoo_core.advice.arms import Arm, Trial, arguments, arms_of
from zoo_core.advice.beginning import beginning
from zoo_core.advice.budget import Budget, seconds_of
from zoo_core.advice.choosing import amount_of, overruling, reason, untried, usual
from zoo_core.advice.evidence import gathered
from zoo_core.advice.halving import LONGER, first_epochs
from zoo_core.advice.questions import told_apart
from zoo_core.advice.recipe import command_for, recipe_for, validation_for
from zoo_core.advice.rows import row_of_untried, rows_of
from zoo_core.advice.sample import sampled
from zoo_core.advice.trying import Tried, try_ways
from zoo_core.advice.words import doubts, why
from zoo_core.data.opening import open_data
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.terminal.lines import say


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
    similar and so many, unless another is more often right on those held out, by three standard
    errors. Its `recipe` is that of `zoo.finetune`, and runs with `zoo finetune --recipe`.

    Raises DataError for one class or pictures that cannot be read, WeightsError for a model without
    weights, RecipeError for one that was changed since it was made, and for val=False.

    >>> import zoo_core as zoo
    >>> advice = zoo.advise("lenet5", "digits#test", budget="5s", progress=False)
    >>> advice.recipe["start"]["model"], advice.rows[0]["accuracy"] > 0.9
    ('lenet5', True)
    """
    seconds = seconds_of(budget)
    if val is False:
        raise RecipeError(
            "advise compares ways on pictures held out, so val is pictures, not False.",
            hint="Leave it away, and a fifth of the pictures is held out.",
        )
    network, start = beginning(model)
    pictures = open_data(data, progress=progress)
    told_apart(pictures)
    clock = Budget(seconds)  # from now on, whatever it took to import and to open all this
    time = Affordable(network, pictures, clock)
    sample = sampled(pictures, time.to_look_at(), seed)
    evidence, amount = gathered(network, sample, seed, progress), amount_of(network, pictures)
    arms = arms_of(start, network, evidence)
    expected = usual(arms, evidence, amount)
    tried = try_ways(arms, [expected], pictures, val, time, seed, say if progress else _nothing)
    better = overruling(tried.final, expected, tried.trained)
    arm = better.arm if better else expected
    if tried.of(arm) is None:
        arm = untried(arms, evidence, expected, len(pictures))
    best = tried.of(arm)
    count, total = tried.count if tried.final else len(sample), len(pictures)
    how = _arguments(arm, best, tried, total, seed)
    held_out = validation_for(val, pictures, seed)
    rows = rows_of(tried.final, tried.dropped, best, seed)
    name = str(start.model)
    return Advice(
        rows if best else [row_of_untried(arm, evidence, seed), *rows],
        recipe_for(arm.model, data, held_out, how),
        model=name,
        data=pictures.name,
        why=why(name, evidence, amount, arm.name, reason(arm, tried.final, expected)),
        similarity=evidence.similarity,
        probes=evidence.rows(seed),
        left=tried.left,
        notes=[*tried.notes, *doubts(arm, best, evidence, tried.final)],
        command=command_for(arm.model, data, held_out, how),
        count=count,
        total=total,
        spent=clock.spent,
        seconds=best.seconds * total / count if best else None,
        bytes=best.bytes if best else None,
    )


def _arguments(arm: Arm, best: Trial | None, tried: Tried, total: int, seed: int) -> dict[str, Any]:
    """Those of `zoo.finetune` for all pictures: as it was tried, or for as long as seems right."""
    if best is not None:
        return arguments(arm, best.epochs, tried.trained, seed)
    most = total * 4 // 5
    return arguments(arm, first_epochs(most) * LONGER, most, seed)


def _nothing(text: str) -> None:
    """Nobody wants to be told."""
