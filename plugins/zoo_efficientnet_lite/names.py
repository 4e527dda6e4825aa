"""The names that the port to PyTorch of the original gives its tensors -> timm's.

There the blocks are one list, `_blocks.7`, and here they are in groups, `blocks.3.2`; the
convolutions and norms of a block have other names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
EXPANDING = {  # 1x1 to more channels, one convolution for each channel, 1x1 to fewer
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
PLAIN = {  # the first, which does not widen
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_NAME = re.compile(r"(?:_blocks\.(?P<block>\d+)\.)?(?P<part>_\w+)\.(?P<tensor>\w+)")


def in_timms_names(tensors: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """The tensors under timm's names; what has no name of the port keeps its own."""
    places = [
        (f"blocks.{group}.{place}.", EXPANDING if hasattr(block, "conv_pwl") else PLAIN)
        for group, blocks in enumerate(model.blocks)
        for place, block in enumerate(blocks)
    ]
    return {_renamed(name, places): tensor for name, tensor in tensors.items()}


def _renamed(name: str, places: list[tuple[str, dict[str, str]]]) -> str:
    match = _NAME.fullmatch(name)
    number = int(match["block"] or 0) if match else 0
    if match is None or number >= len(places):
        return name
    where, parts = places[number] if match["block"] else ("", OUTSIDE)
    part = parts.get(match["part"])
    return f"{where}{part}.{match['tensor']}" if part else name
