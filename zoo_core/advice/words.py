"""Advice in the words of a textbook's chapter on transfer learning."""

from __future__ import annotations

from zoo_core.advice.arms import ALL, ALONE, HALF, LAST, SCRATCH

FEW, MANY = 20, 200  # pictures of a class

_SIMILAR = {
    "near": "much like those that {model} was trained on: its last features suit them as they are",
    "medium": "somewhat like those that {model} was trained on: its earlier features suit them "
    "better than its last ones, which know the old classes",
    "far": "unlike those that {model} was trained on: its features are no better for them than "
    "those of the same network with random weights",
}

_WAYS = {
    ALONE: "so keep all of its layers as they are, and train a new head alone",
    "keep until": "so keep the early layers, whose features are general, and drop the later ones, "
    "which are those of the old task",
    LAST: "so keep the early layers, and go one stage deeper than the head",
    HALF: "so keep the first half, whose features are general, and fine-tune the second",
    ALL: "so fine-tune all layers, from the weights that are there",
    SCRATCH: "so train all layers from random weights",
}


def why(model: str, similarity: str, each: float, arm: str, *, tells: bool) -> list[str]:
    """Two sentences: how similar and how many the pictures are, and what follows.

    `each`: pictures of a class, on average.
    """
    if not tells:
        first = f"No features of {model} tell these classes apart better than chance"
        return [f"{first}.", f"Be careful: {_way(arm)}, if anything."]
    many = "few" if each < FEW else "many" if each >= MANY else "some"
    first = f"These pictures are {_SIMILAR[similarity].format(model=model)}."
    count = f"There are {many} of them, about {each:.0f} a class"
    return [first, f"{count}; {_result(arm)}."]


def _way(arm: str) -> str:
    return next(text for name, text in _WAYS.items() if arm.startswith(name)).removeprefix("so ")


def _result(arm: str) -> str:
    return f"of the ways tried the least that is as good as any is enough, so {_way(arm)}"
