"""Grad-CAM: where the map between two stages speaks for a class.

Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391: a channel counts by the mean over places
of how the class's score moves with it; the weighted sum of channels, where it is above zero, is the
heat. The stages before the map run without a graph, and only those after it backwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.model.boundaries import Pooling
from zoo_core.types import Stage


def slopes(
    network: nn.Module, after: Sequence[Stage], entering: Tensor, index: int | None
) -> tuple[Tensor, Tensor, int]:
    """How a class's score moves with each number of a map, the scores (C,), and the class.

    `entering`: (1, …), what the stages `after` take. `index`: of the class; None: of the likeliest.
    """
    x = entering.detach().requires_grad_()
    with torch.enable_grad():
        scores = run_stages(network, after, x.clone())[0]  # which they may write into
        chosen = int(scores.argmax()) if index is None else index
        [slope] = torch.autograd.grad(scores[chosen], x)
    return slope, scores.detach().float(), chosen


def heat(entering: Tensor, slope: Tensor, how: Pooling, grid: tuple[int, int]) -> Tensor:
    """The map (H, W), in [0, 1]: 1 where a place speaks most for the class, 0 where none does.

    `entering`, `slope`: (1, …) alike. `how`: which axes are places; `grid`: (H, W) of these.

    >>> x = torch.tensor([[[[1.0, 2.0]], [[0.0, 4.0]]]])  # two channels, one row of two places
    >>> heat(x, torch.ones_like(x), Pooling((2, 3), 2), (1, 2))
    tensor([[0.1667, 1.0000]])
    """
    values, moves = (at_places(tensor, how) for tensor in (entering, slope))
    found = (moves.mean(1, keepdim=True) * values).sum(0).relu().reshape(grid)
    most = found.max()
    return found / most if most > 0 else found


def at_places(x: Tensor, how: Pooling) -> Tensor:
    """(C, places) of one picture, in float32, without the tokens that are no places."""
    places = x.movedim(how.axes, tuple(range(-len(how.axes), 0)))[0].float()
    return places.reshape(len(places), -1)[:, how.skip :]
