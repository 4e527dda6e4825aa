"""How well features tell classes apart, by plain functions, and what can be said of a difference.

All judge each picture by the others: nothing is trained, and no picture tells of itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from zoo_core.training.solving.solve import LeftOut

RESAMPLES = 1000
TAILS = (0.025, 0.975)
BLOCK = 2**22  # numbers at a time


def right(judged: LeftOut, targets: Tensor) -> Tensor:
    """Which pictures (N,) are right when left out: 0 or 1; with several labels, the share of them.

    Of equal scores the first class counts, as `argmax` has it, so that their mean is the accuracy.
    """
    if judged.likely is None:
        return (judged.margins > 0).double().mean(1)
    first = (judged.margins == 0) & (targets < judged.likely)
    return ((judged.margins > 0) | first).double()


def neighbours_right(features: Tensor, targets: Tensor, k: int) -> Tensor:
    """Which pictures (N,) their k nearest others would call right: 0 or 1, or shares of labels.

    Near is by cosine; a vote weighs 1 + cosine. `targets`: class numbers (N,), or 0 and 1 (N, C).
    """
    count, several = len(features), targets.ndim == 2
    k = min(k, count - 1)
    votes = targets.double() if several else _one_hot(targets)
    x = torch.nn.functional.normalize(features.double(), dim=1)
    found = x.new_empty(count)  # before the blocks, so that no piece holds on to their memory
    for start in range(0, count, step := max(BLOCK // count, 1)):
        part = slice(start, min(start + step, count))
        near = x[part] @ x.T
        near[torch.arange(len(near)), torch.arange(count)[part]] = -math.inf
        cosine, index = near.topk(k, dim=1)
        heavy = 1 + cosine.clamp(-1, 1)
        tally = (votes[index] * heavy[..., None]).sum(1)
        if several:
            says = tally > heavy.sum(1, keepdim=True) / 2
            found[part] = (says == (targets[part] > 0.5)).double().mean(1)
        else:
            found[part] = (tally.argmax(1) == targets[part]).double()
    return found


def neighbours(targets: Tensor) -> int:
    """How many neighbours to ask: 5 where classes have fewer than 20 pictures on average, or 20."""
    classes = targets.shape[1] if targets.ndim == 2 else max(len(targets.unique()), 1)
    return 5 if len(targets) / max(classes, 1) < 20 else 20


def logme(features: Tensor, targets: Tensor) -> float:
    """LogME (You et al., 2021, https://arxiv.org/abs/2102.11005): log evidence of a picture.

    Of a Bayesian linear regression of each class (yes 1, no 0) on features (N, D), with the noise
    and the size of its weights that fit best; the mean over classes. Higher is better.

    >>> x = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [0.9, 0.1]])
    >>> logme(x, torch.tensor([0, 0, 1, 1])) > logme(x, torch.tensor([0, 1, 0, 1]))
    True
    """
    f = features.double()
    wanted = targets.double() if targets.ndim == 2 else _one_hot(targets)
    wanted = wanted[:, (wanted != wanted[:1]).any(0)]  # a class that all have, or none, tells nil
    if not wanted.shape[1]:
        return math.nan
    u, s, _ = torch.linalg.svd(f, full_matrices=False)
    inside = (u.T @ wanted).square()  # (R, C)
    outside = (wanted.square().sum(0) - inside.sum(0)).clamp(min=0)
    each = [
        _evidence(s.square(), inside[:, c], float(outside[c]), len(f), f.shape[1])
        for c in range(wanted.shape[1])
    ]
    return sum(each) / len(each)


def _evidence(values: Tensor, inside: Tensor, outside: float, count: int, width: int) -> float:
    """The largest log evidence of a column, divided by the pictures, by MacKay's fixed point.

    `values`: s² of features; `inside`: squares of the column along their axes; `outside`: the rest.
    """
    a, b = 1.0, 1.0  # of weights, of noise: inverse variances
    for _ in range(200):
        kept = b * values / (a + b * values)
        size = float((inside * values * (b / (a + b * values)).square()).sum())
        lost = float((inside * (1 - kept).square()).sum()) + outside
        free = float(kept.sum())
        before, a = a, min(free / max(size, 1e-12), 1e12)
        b_before, b = b, min((count - free) / max(lost, 1e-12), 1e12)
        if abs(a - before) <= 1e-9 * a and abs(b - b_before) <= 1e-9 * b:
            break
    kept = b * values / (a + b * values)
    size = float((inside * values * (b / (a + b * values)).square()).sum())
    lost = float((inside * (1 - kept).square()).sum()) + outside
    determinant = float((a + b * values).log().sum()) + (width - len(values)) * math.log(a)
    total = count * math.log(b) + width * math.log(a) - determinant - b * lost - a * size
    return (total - count * math.log(2 * math.pi)) / 2 / count


def _one_hot(targets: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(targets, int(targets.max()) + 1).double()


# --- what can be said of means -------------------------------------------------------------------


def interval(
    values: Tensor, seed: int, *, ends: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """Where the mean of values (N,) lies, 95%: the bootstrap over pictures.

    One picture more at each of the `ends` is drawn from: ten of ten right are no certainty.
    """
    pool = torch.cat([values.double(), values.new_tensor(ends, dtype=torch.float64)])
    generator = torch.Generator().manual_seed(seed)
    means = []
    for start in range(0, RESAMPLES, step := max(BLOCK // len(values), 1)):
        shape = min(step, RESAMPLES - start), len(values)
        means.append(pool[torch.randint(len(pool), shape, generator=generator)].mean(1))
    low, high = torch.cat(means).quantile(torch.tensor(TAILS, dtype=torch.float64)).tolist()
    return low, high


def shares(right: Tensor, seed: int) -> dict[str, float]:
    """What a row says of who is right (N,): `accuracy`, and `low` to `high`, its interval."""
    low, high = interval(right, seed)
    return {"accuracy": float(right.mean()), "low": low, "high": high}


def is_lower(a: Tensor, b: Tensor, seed: int, most: float) -> bool:
    """Whether losses a are lower than b beyond chance: of the same pictures, paired.

    `most`: by how much a picture can speak for one of them; one more on each side is drawn from.
    """
    return interval(b - a, seed, ends=(-most, most))[0] > 0


def ranks(each: Sequence[Tensor], seed: int, most: float) -> list[int]:
    """The rank of each, from 1, by the mean of its losses (N,), of the same pictures.

    The lowest leads, and who cannot be told from it shares its rank; then the best of the others.
    `most`: as of `is_lower`.
    """
    order = sorted(range(len(each)), key=lambda i: float(each[i].mean()))
    found = [0] * len(each)
    left = order
    while left:
        leader = left[0]
        same = [i for i in left if i == leader or not is_lower(each[leader], each[i], seed, most)]
        for i in same:
            found[i] = len(each) - len(left) + 1
        left = [i for i in left if i not in same]
    return found


def pareto(points: Iterable[tuple[float, float]]) -> list[bool]:
    """Of (gain, cost): whether nobody gains as much for less, or more for as little.

    >>> pareto([(0.9, 3.0), (0.9, 2.0), (0.5, 1.0), (0.4, 1.5)])
    [False, True, True, False]
    """
    listed = list(points)
    return [
        not any(g >= gain and c <= cost and (g, c) != (gain, cost) for g, c in listed)
        for gain, cost in listed
    ]
