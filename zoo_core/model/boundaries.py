"""What is between the stages of a network, and how it is pooled: by the shapes of some pictures.

Which axis is the channels' is not written on a tensor. So two pictures of one size and three of
another go through an outline of the network: the first axis follows their number, the axes of
places follow their size, and the one that follows nothing is the channels'. Tokens that are there
whatever the size, such as a class token, show in how their number grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.types import Stage

Shape = tuple[int, ...]
Size = tuple[int, int, int]  # channels, height, width
Chain = Mapping[str, Stage]
Networks = Callable[[tuple[int, int] | None], tuple[nn.Module, Chain]]


@dataclass(frozen=True)
class Pooling:
    """How a boundary becomes one row a picture, of so many numbers.

    `axes`: those of places, whose mean is taken; none where there is one row already. `skip`: how
    many tokens come before those of places, and are left out.
    """

    axes: tuple[int, ...]
    width: int
    skip: int = 0


def poolings(networks: Networks, size: Size, names: Iterable[str]) -> dict[str, Pooling | str]:
    """For some stages, how what enters them is pooled, or why that is not sure.

    `networks`: gives the network with its stages, for pictures of its own size or of another height
    and width. `size`: of the pictures that it is for.
    """
    module, chain = networks(None)
    own = _entering(module, chain, size, 2)
    listed = list(names)
    ranks = {len(own.get(name, ())) for name in listed}
    larger = _enlarged(networks, size, 2, 3) if ranks - {0, 2} else {}
    largest = _enlarged(networks, size, 4, 2) if 3 in ranks else {}
    prefix = getattr(module, "num_prefix_tokens", 0)
    found: dict[str, Pooling | str] = {}
    for name in listed:
        shapes = [seen.get(name, ()) for seen in (own, larger, largest)]
        found[name] = _pooling(shapes, prefix if isinstance(prefix, int) else 0)
    return found


# --- shapes --------------------------------------------------------------------------------------


def _entering(module: nn.Module, chain: Chain, size: Size, count: int) -> dict[str, Shape]:
    """The shape of what enters each stage, as far as so many such pictures get."""
    shapes: dict[str, Shape] = {}
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    with torch.no_grad(), like.device:  # what stages make themselves is where the network is
        network = in_eval_mode(module)
        x: Any = torch.zeros(count, *size, dtype=like.dtype)
        for stage in chain.values():
            if not isinstance(x, Tensor):
                break
            shapes[stage.name] = tuple(x.shape)
            try:
                x = run_stages(network, [stage], x)
            except Exception:  # it takes no pictures of this size
                break
    return shapes


def _enlarged(networks: Networks, size: Size, times: int, count: int) -> dict[str, Shape]:
    """The shapes for larger pictures, by the network itself or as it is built for such."""
    channels, height, width = size
    sides = height * times, width * times
    shapes: dict[str, Shape] = {}
    for wanted in (None, sides):
        try:
            module, chain = networks(wanted)
        except Exception:  # whatever a network says to a size that it cannot have
            break
        found = _entering(module, chain, (channels, *sides), count)
        shapes = max(shapes, found, key=len)
        if len(shapes) == len(chain):
            break
    return shapes


# --- what they tell ------------------------------------------------------------------------------


def _pooling(shapes: list[Shape], prefix: int) -> Pooling | str:
    own, larger, largest = shapes
    if not own:
        return "it is no single tensor"
    if own[0] != 2 or (larger and larger[0] != 3):
        return f"the first axis of {_told(own)} is not that of the pictures"
    if len(own) == 2:
        return Pooling((), own[1])
    if len(larger) != len(own):
        return f"no other size of pictures tells which axis of {_told(own)} is the channels'"
    still = [axis for axis in range(1, len(own)) if own[axis] == larger[axis]]
    if len(still) > 1:
        still = [axis for axis in still if own[axis] != 1]
    if len(still) != 1:
        return f"which axis of {_told(own)} is the channels' is not sure"
    channel = still[0]
    axes = tuple(axis for axis in range(1, len(own)) if axis != channel)
    if len(own) != 3:
        return Pooling(axes, own[channel])
    skip = _prefix(larger, largest, axes[0])
    if skip is None:
        return f"how many of the tokens of {_told(own)} are places is not sure"
    if skip and (axes[0] != 1 or skip != prefix):
        return f"which {skip} of the tokens of {_told(own)} are no places is not sure"
    return Pooling(axes, own[channel], skip)


def _told(shape: Shape) -> str:
    return "x".join(map(str, shape[1:]))


def _prefix(larger: Shape, largest: Shape, axis: int) -> int | None:
    """How many tokens are there whatever the size: all others grow with the area.

    >>> _prefix((3, 785, 192), (2, 3137, 192), 1)
    1
    """
    if len(largest) != len(larger):
        return None
    if larger[axis] == largest[axis]:
        return 0 if larger[axis] == 1 else None
    count, left = divmod(16 * larger[axis] - 4 * largest[axis], 12)
    return count if left == 0 and count >= 0 else None
