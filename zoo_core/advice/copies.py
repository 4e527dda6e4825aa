"""Pictures that are there twice: the same content, or the same picture in another size or quality.

Each is reduced to 16 x 16 weighted means. Two are nearly the same where their greys differ, in the
root mean square, by no more than a twentieth of their own contrast, and their colours by three
times as much: scaling and encoding anew change means of areas little (colours more, which JPEG
keeps coarsely), and two photographs of one thing differ by far more. It is the zero-mean normalised
correlation of template matching (Lewis, 1995), with brightness and contrast held, too. Crops,
mirror images and other exposures are not found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NEAR, NEAR_IN_COLOUR = 0.05, 0.15  # of the contrast
LUMA = (0.299, 0.587, 0.114)
FLAT = 4.0  # levels of 255: below that contrast there is nothing to compare
BLOCK = 1024


def copies(digests: Sequence[bytes], tiny: np.ndarray) -> dict[int, tuple[int, bool]]:
    """For each picture that an earlier one is a copy of: the first such, and whether it is exact.

    `digests`: of all N; `tiny`: (N, S, S, 3) bytes.

    >>> shades = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    >>> copies([b"a", b"b", b"a"], shades[[0, 1, 0]])
    {2: (0, True)}
    """
    first: dict[bytes, int] = {}
    found: dict[int, tuple[int, bool]] = {}
    for index, digest in enumerate(digests):
        if first.setdefault(digest, index) != index:
            found[index] = first[digest], True
    alone = torch.tensor([index for index in range(len(digests)) if index not in found])
    near = _near(torch.tensor(tiny)[alone].float()) if len(alone) else []
    for one, other in near:
        early, late = int(alone[one]), int(alone[other])
        if late not in found:
            found[late] = found.get(early, (early, False))[0], False
    return {index: found[index] for index in sorted(found)}


def _near(tiny: Tensor) -> list[tuple[int, int]]:
    """Pairs (earlier, later) that are nearly the same, by the later one."""
    colours = tiny.flatten(1)
    greys = (tiny @ torch.tensor(LUMA)).flatten(1)
    centred = greys - greys.mean(1, keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-9)
    contrast, in_colour = _contrast(greys), _contrast(colours)
    flat = contrast < FLAT
    least = 1 - NEAR**2  # two as near as that correlate by as much, at least
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(tiny), BLOCK):
        alike = unit[start : start + BLOCK] @ unit[: start + BLOCK].T
        later, earlier = (alike >= least).nonzero(as_tuple=True)
        later = later + start
        keep = (earlier < later) & ~flat[later] & ~flat[earlier]
        later, earlier = later[keep], earlier[keep]
        near = _apart(greys, contrast, later, earlier) <= NEAR
        near &= _apart(colours, in_colour, later, earlier) <= NEAR_IN_COLOUR
        pairs += zip(earlier[near].tolist(), later[near].tolist(), strict=True)
    return pairs


def _contrast(values: Tensor) -> Tensor:
    return values.std(1, correction=0)


def _apart(values: Tensor, contrast: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """How far pairs differ, in parts of the smaller contrast of the two."""
    difference = (values[one] - values[other]).square().mean(1).sqrt()
    return difference / torch.minimum(contrast[one], contrast[other])
