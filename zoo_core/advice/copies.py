"""Pictures that are there twice: the same content, or the same picture in another size or quality.

Each is reduced to 16 x 16 means of colour. Two are nearly the same where these differ, in the root
mean square, by no more than a small part of their own contrast: scaling and encoding anew change
means of areas little, and two photographs of one thing differ by far more. It is the zero-mean
normalised correlation of template matching (Lewis, 1995), with brightness and contrast held, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NEAR = 0.08  # of the contrast
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
    values = torch.from_numpy(tiny.reshape(len(tiny), -1))
    near = _near(values[alone].float()) if len(alone) else []
    for one, other in near:
        early, late = int(alone[one]), int(alone[other])
        if late not in found:
            found[late] = found.get(early, (early, False))[0], False
    return {index: found[index] for index in sorted(found)}


def _near(values: Tensor) -> list[tuple[int, int]]:
    """Pairs (earlier, later) that are nearly the same, by the later one."""
    centred = values - values.mean(1, keepdim=True)
    contrast = centred.square().mean(1).sqrt()
    unit = centred / (contrast * values.shape[1] ** 0.5).clamp(min=1e-9)[:, None]
    least = 1 - NEAR**2  # what two as near as that correlate by, and more
    pairs = []
    for start in range(0, len(values), BLOCK):
        alike = unit[start : start + BLOCK] @ unit[: start + BLOCK].T
        later, earlier = (alike >= least).nonzero(as_tuple=True)
        later = later + start
        keep = (earlier < later) & (contrast[later] >= FLAT) & (contrast[earlier] >= FLAT)
        later, earlier = later[keep], earlier[keep]
        apart = (values[later] - values[earlier]).square().mean(1).sqrt()
        near = apart <= NEAR * torch.minimum(contrast[later], contrast[earlier])
        pairs += zip(earlier[near].tolist(), later[near].tolist(), strict=True)
    return pairs
