"""Advice in the words of a textbook's chapter on transfer learning."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.advice.arms import ALL, ALONE, HALF, KEEP, LAST, SCRATCH, Arm, Trial
from zoo_core.advice.choosing import Amount
from zoo_core.advice.evidence import ENOUGH_TO_TELL, Evidence, beyond_chance

MANY = 200  # pictures of a class, of which there are many

_SIMILAR = {
    "near": "much like those that {model} was trained on: its last features suit them as they are",
    "medium": "somewhat like those that {model} was trained on: its earlier features suit them "
    "better than its last ones, which know the old classes",
    "few": "too few to say how similar they are to those that {model} was trained on",
    "unknown": "not clearly like or unlike those that {model} was trained on: its features are "
    "hardly better for them than those of the same network with random weights",
    "far": "unlike those that {model} was trained on: its features are no better for them than "
    "those of the same network with random weights",
}

_WAYS = {
    ALONE: "keep all of its layers as they are, and train a new head alone",
    KEEP: "keep the early layers, whose features are general, and drop the later ones, "
    "which are those of the old task",
    LAST: "keep the early layers, and go one stage deeper than the head",
    HALF: "keep the first half, whose features are general, and fine-tune the second",
    ALL: "fine-tune all layers, from the weights that are there",
    SCRATCH: "train all layers from random weights",
}


def why(model: str, evidence: Evidence, amount: Amount, arm: str, reason: str) -> list[str]:
    """Two sentences: how similar and how many the pictures are, and what follows.

    `reason`: why that way, of `choosing.reason`.
    """
    many = "few" if amount.few else "many" if amount.each >= MANY else "some"
    count = f"There are {many} of them, about {amount.each:.0f} a class"
    if amount.large:
        count += f", for each of which {model} has {amount.parameters:,.0f} parameters"
    if not evidence.tells:
        first = f"No features of {model} tell these classes apart better than their sizes do."
        return [first, f"{count}; {_way(arm)}, if anything at all."]
    similar = _SIMILAR["few" if evidence.few else evidence.similarity]
    first = f"These pictures are {similar.format(model=model)}."
    return [first, f"{count}. So {_way(arm)}: {reason}."]


def _way(arm: str) -> str:
    return next(text for name, text in _WAYS.items() if arm.startswith(name))


def doubts(arm: Arm, best: Trial | None, evidence: Evidence, trials: Sequence[Trial]) -> list[str]:
    """Why not too much should be expected of `arm`, which is advised; `best`: its trial."""
    notes = []
    if best is None and not arm.solved:
        notes.append("The accuracy is that of a solved head, from which its training would begin.")
    if evidence.similarity == "far":
        notes.append("Transfer has little value here: random weights do as well.")
    elif _is_no_better_than_scratch(trials):
        notes.append("Transfer has little value here: training from scratch does as well.")
    return notes


def _is_no_better_than_scratch(trials: Sequence[Trial]) -> bool:
    """Whether no way beats random weights; of a handful of pictures held out, none ever does."""
    scratch = next((trial for trial in trials if trial.arm.name == SCRATCH), None)
    others = [trial for trial in trials if trial.arm.name != SCRATCH]
    if scratch is None or not others or len(scratch.losses) < ENOUGH_TO_TELL:
        return False
    best = min(others, key=lambda trial: trial.loss)
    return not beyond_chance(best.losses, scratch.losses)
