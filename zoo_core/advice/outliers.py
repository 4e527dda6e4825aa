"""Pictures unlike all others: far from their nearest neighbours in features, or of an odd size.

Ramaswamy, Rastogi and Shim (2000): an outlier is what has its k nearest neighbours farthest away.
How far is too far is Tukey's outer fence on the logarithm of the distances: the upper quartile and
three times the distance between the quartiles. Of a million distances whose logarithm is normal,
two or three are beyond it. A network's last features hold what tells its own classes apart, and let
a picture of another kind look like one of those; so the fence must be passed at half of the
boundaries, at least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

NEIGHBOURS = 5
ENOUGH_FOR_QUARTILES = 20  # pictures: quartiles of less say nothing
FENCE = 3.0  # distances between the quartiles
BLOCK = 1024
REFERENCE = 20_000  # pictures among which neighbours are looked for, evenly from all
LARGER = 2.0  # an odd size differs by this factor, at least, from the commonest quarter


def outliers(features: Mapping[str, Tensor]) -> dict[int, float]:
    """How many times farther than the middle picture, for those beyond the fence, by picture.

    `features`: by stage, (N, D). Nothing of less than twenty pictures.

    >>> rows = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    >>> rows[3] += 20
    >>> list(outliers({"head": rows}))
    [3]
    """
    stages = [rows for rows in features.values() if rows.isfinite().all()]
    if not stages or len(stages[0]) < ENOUGH_FOR_QUARTILES:
        return {}
    logs = torch.stack([distances(rows).clamp(min=1e-12).log() for rows in stages])
    low, middle, high = logs.quantile(torch.tensor([0.25, 0.5, 0.75]).to(logs), dim=1)
    beyond = logs > (high + FENCE * (high - low).clamp(min=0.05))[:, None]
    found = (2 * beyond.sum(0) >= len(stages)).nonzero()[:, 0].tolist()
    times = (logs - middle[:, None]).mean(0).exp()
    return {index: float(times[index]) for index in found}


def distances(features: Tensor) -> Tensor:
    """The distance (N,) to the fifth nearest other picture.

    Features are scaled by the root of their spread, as for the solved head: what is loud counts
    more, but not alone.
    """
    x = features.double()
    x = ((x - x.mean(0)) / x.std(0).clamp(min=1e-9).sqrt()).float()
    others = torch.arange(0, len(x), -(-len(x) // REFERENCE))
    reference, found = x[others], x.new_empty(len(x))
    for start in range(0, len(x), BLOCK):
        part = x[start : start + BLOCK]
        apart = torch.cdist(part, reference)
        own = torch.arange(start, start + len(part))
        apart[others[None] == own[:, None]] = torch.inf  # itself
        near = apart.topk(min(NEIGHBOURS, len(others) - 1), 1, largest=False)
        found[start : start + BLOCK] = near.values[:, -1]
    return found.double()


def odd_sizes(sizes: Sequence[tuple[int, int]]) -> dict[int, str]:
    """What is odd about the size of a picture, by picture, where others agree.

    An area, or a shape (width over height), is odd beyond Tukey's outer fence on its logarithm, and
    by a factor of two, at least, from the nearer quartile.

    >>> odd_sizes([(30, 30)] * 20 + [(30, 10)])
    {20: '30 x 10 pixels, and most are 30 x 30'}
    """
    if len(sizes) < ENOUGH_FOR_QUARTILES:
        return {}
    sides = torch.tensor(sizes, dtype=torch.float64)
    odd = _beyond(sides.prod(1).log()) | _beyond((sides[:, 0] / sides[:, 1]).log())
    (width, height), most = Counter(sizes).most_common(1)[0]
    if most <= len(sizes) / 2:
        width, height = (int(side) for side in sides.median(0).values)
    usual = "most are" if most > len(sizes) / 2 else "the middle one is"
    return {
        i: f"{sizes[i][0]} x {sizes[i][1]} pixels, and {usual} {width} x {height}"
        for i in odd.nonzero()[:, 0].tolist()
    }


def _beyond(logs: Tensor) -> Tensor:
    low, high = logs.quantile(torch.tensor([0.25, 0.75], dtype=logs.dtype))
    room = torch.maximum(FENCE * (high - low), torch.tensor(LARGER).double().log() - 1e-9)
    return (logs < low - room) | (logs > high + room)
