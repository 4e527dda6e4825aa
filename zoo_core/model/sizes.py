"""`img_size`, which every model takes: the size of its pictures, and whether they go through it.

Where `build` has an argument of that name the network is built for the size; elsewhere its pictures
alone have it. Either way one is tried, without values, before anything else is done.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from zoo_core.errors import ZooError
from zoo_core.humanize import one_line, readable_name
from zoo_core.model.answers import scores_fault
from zoo_core.model.build import Built, Plan, on_meta, unseen
from zoo_core.types import Architecture, InputSpec

Sides = tuple[int, int]  # height, width

NAME = "img_size"
LARGEST = 4096  # pixels of a side: tables of positions grow with its square
STEP = 32  # most networks halve a picture five times


# --- what is asked for ---------------------------------------------------------------------------


def sides_of(size: Any) -> Sides | None:
    """Height and width by an `img_size`: a side, or both. None where it says nothing.

    Raises ZooError for what is neither.

    >>> sides_of(64), sides_of([64, 96]), sides_of(None)
    ((64, 64), (64, 96), None)
    """
    if size is None:
        return None
    both = size if isinstance(size, list | tuple) else (size, size)
    try:
        sides = [None if isinstance(side, bool) else operator.index(side) for side in both]
    except TypeError:
        sides = []
    if len(sides) != 2 or any(side is None or side < 1 for side in sides):
        shown = readable_name(repr(size))[:100]
        raise ZooError(f"{NAME} must be one number, or height and width: {shown}.")
    height, width = (side for side in sides if side is not None)
    if max(height, width) > LARGEST:
        raise ZooError(f"{NAME} is {LARGEST:,} at most, not {max(height, width):,}.")
    return height, width


def plainly(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with their `img_size` as it is written down: a number or a list of two."""
    sides = sides_of(config.get(NAME))
    others = {name: value for name, value in config.items() if name != NAME}
    if sides is None:
        return others
    return {**others, NAME: sides[0] if sides[0] == sides[1] else [*sides]}


def for_build(architecture: Architecture, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `build` itself gets."""
    taken = inspect.signature(architecture.build).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    return {n: value for n, value in config.items() if n != NAME or anything or NAME in taken}


def shown(spec: InputSpec, sides: Sides | None, channels: int) -> InputSpec:
    """What a network wants to see that is built for so many channels, and for pictures so large."""
    if sides is not None:
        spec = replace(spec, size=(spec.size[0], *sides))
    return spec.with_channels(channels)


# --- whether it can be ---------------------------------------------------------------------------


def refuse_size(plan: Plan, name: str, own: Sides, channels: int) -> None:
    """Raise ZooError where pictures of the size do not go through, with the nearest that do.

    `own`: the size that the network has without. Nothing is tried where no other is asked for.
    """
    if plan.sides is None:
        return
    fault_of = _trial(plan, channels, on_meta)
    fault = fault_of(plan.sides)
    if fault and fault_of(own):  # it may be one that has to look at values
        fault_of = _trial(plan, channels, unseen)
        fault = fault_of(plan.sides)
        if fault_of(own):  # it is not for its size that it cannot be: building says why
            return
    if not fault:
        return
    fits = _nearest(plan.sides, own, lambda sides: not fault_of(sides))
    takes = " and ".join(_text(sides) for sides in fits)
    raise ZooError(
        f"{name} cannot take pictures of {_text(plan.sides)}: {fault}.",
        hint=f"It takes {takes}." if takes else "",
    )


def _trial(plan: Plan, channels: int, build: Callable[..., Built]) -> Callable[[Sides], str]:
    """What says of a size what goes wrong with a picture of it; mostly nothing."""

    @functools.cache
    def built(sides: Sides | None) -> nn.Module:
        config = dict(plan.config)
        if sides is not None:
            config |= plainly({NAME: sides})
        return build(replace(plan, config=config, size=None), 2, channels).module.eval()

    def fault_of(sides: Sides) -> str:
        try:
            module = built(sides if NAME in plan.config else None)
            first = next(module.parameters(), torch.empty(0))
            with torch.no_grad():
                out = module(first.new_zeros(1, channels, *sides))
        except Exception as error:  # of a plugin's network, whatever it is
            return one_line(error.__cause__ or error).rstrip(".")[:200] or type(error).__name__
        return "" if plan.config.get("global_pool") == "" else scores_fault(out, count=1)

    return fault_of


def _nearest(asked: Sides, own: Sides, fits: Callable[[Sides], bool]) -> list[Sides]:
    """Sizes near the one asked for that go through: below and above it, or the smallest of all."""
    height, width = asked
    below = (height // STEP * STEP, width // STEP * STEP)
    above = (-(-height // STEP) * STEP, -(-width // STEP) * STEP)
    near = dict.fromkeys(size for size in (below, above) if size != asked and min(size))
    found = [size for size in near if fits(size)]
    if below in found:
        return found
    larger = [*found, (max(height, own[0]), max(width, own[1]))]
    start = next((size for size in larger if size != asked and fits(size)), None)
    if start is not None:
        return [_smallest(asked, start, fits)]
    return [own] if own != asked and fits(own) else []


def _smallest(small: Sides, large: Sides, fits: Callable[[Sides], bool]) -> Sides:
    """The smallest that goes through on the way from one that does not to one that does."""
    steps = max(large[0] - small[0], large[1] - small[1])

    def at(step: int) -> Sides:
        height, width = (a + (b - a) * step // steps for a, b in zip(small, large, strict=True))
        return height, width

    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(at(middle)) else (middle, high)
    return at(high)


def _text(sides: Sides) -> str:
    return "x".join(map(str, sides))
