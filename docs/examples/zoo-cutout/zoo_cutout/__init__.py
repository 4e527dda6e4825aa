"""Cutout (DeVries and Taylor, 2017).  https://arxiv.org/abs/1708.04552"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core import RegularizerSpec, hookimpl
from zoo_core.types import WHEN, Option

if TYPE_CHECKING:
    from zoo_core import Regularizer


@hookimpl
def zoo_regularizers() -> list[RegularizerSpec]:
    size = Option("size", 16, "side of the square in pixels, 1 or more")
    prob = Option("prob", 1.0, "how often a picture loses one, from 0 to 1")
    cutout = RegularizerSpec(
        "cutout",
        make,
        (size, prob, *WHEN),
        value="size",
        acts="on pictures",
        summary="a square of each picture is blank",
        paper="https://arxiv.org/abs/1708.04552",
    )
    return [cutout]


def make(**options: Any) -> Regularizer:
    from zoo_cutout.cutout import Cutout

    return Cutout(**options)
