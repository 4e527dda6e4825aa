"""Advice in the words of a textbook's chapter on transfer learning."""

from __future__ import annotations

from zoo_core.advice.arms import ALL, ALONE, HALF, KEEP, LAST, SCRATCH
from zoo_core.advice.choosing import Amount
from zoo_core.advice.evidence import Evidence

MANY = 200  # pictures of a class, of which there are many

_SIMILAR = {
    "near": "much like those that {model} was trained on: its last features suit them as they are",
    "medium": "somewhat like those that {model} was trained on: its earlier features suit them "
    "better than its last ones, which know the old classes",
    "unknown": "too few to say how similar they are to those that {model} was trained on",
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
    if amount.overwhelmed:
        count += f", for each of which {model} has {amount.parameters:,.0f} parameters"
    if not evidence.tells:
        first = f"No features of {model} tell these classes apart better than their sizes do."
        return [first, f"{count}; {_way(arm)}, if anything at all."]
    first = f"These pictures are {_SIMILAR[evidence.similarity].format(model=model)}."
    return [first, f"{count}. So {_way(arm)}: {reason}."]


def _way(arm: str) -> str:
    return next(text for name, text in _WAYS.items() if arm.startswith(name))
