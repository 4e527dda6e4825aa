"""What a network wants to see, by the arguments that it was built with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

from zoo_core.types import InputSpec


def shown(spec: InputSpec, arguments: Mapping[str, Any], channels: int) -> InputSpec:
    """What a network wants to see that is built for so many channels, and for its `img_size`."""
    sides = sides_of(arguments)
    if sides is not None:
        spec = replace(spec, size=(spec.size[0], *sides))
    return spec.with_channels(channels)


def sides_of(arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width by the argument `img_size`: one number, or both. None where it is neither,
    which the network itself refuses."""
    side = arguments.get("img_size")
    both = side if isinstance(side, list | tuple) else (side, side)
    if len(both) != 2 or not all(isinstance(n, Real) for n in both):
        return None
    height, width = both
    return int(height), int(width)
