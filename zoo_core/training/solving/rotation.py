"""Features as a regression sees them: centred, scaled, weighted, and turned to their main axes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2**22  # numbers in float64 at a time, 32 MB


class Rotation:
    """U, s² and V of √w · z = U s Vᵀ, where z are features (N, D) as a ridge penalty needs them.

    z = (x - mean) / √spread: halfway between features as they are, where the loudest count alone,
    and standardised ones, where the noise of the quietest counts as much (Pareto scaling). `mean`
    and spread are weighted by `weights` (N,), above 0. `values`: s² (R,), ascending, R ≤ min(N, D).

    The smaller of z zᵀ and zᵀ z is decomposed, in float64; features are read in blocks, so that
    they are never all there in float64.
    """

    def __init__(self, features: Tensor, weights: Tensor) -> None:
        self.features, self.roots = features, weights.sqrt()
        shares = weights / weights.sum()
        self.mean, spread, most = _moments(features, shares)
        varied = spread > 1e-12 * most  # what is constant has a spread of rounding
        self.inverse = torch.where(varied, spread.clamp(min=1e-300).rsqrt(), 0.0)
        count, width = features.shape
        self.dual = count <= width
        gram = self.mean.new_zeros(min(count, width), min(count, width))
        for part in blocks(*((width, count) if self.dual else (count, width))):
            z = self._scaled(columns=part) if self.dual else self._scaled(rows=part)
            gram += z @ z.T if self.dual else z.T @ z
        values, vectors = torch.linalg.eigh(gram)
        keep = values > values[-1].clamp(min=0) * 1e-10
        self.values, self.vectors = values[keep], vectors[:, keep]

    def rows(self, which: Tensor | slice) -> Tensor:
        """U of some rows (n, R)."""
        if self.dual:
            return self.vectors[which]
        return self._scaled(rows=which) @ (self.vectors / self.values.sqrt())

    def undone(self, coefficients: Tensor) -> Tensor:
        """Weights (C, D) for features as they are, from coefficients (R, C) of s Vᵀ / s = Vᵀ."""
        if not self.dual:
            return (self.inverse[:, None] * (self.vectors @ coefficients)).T
        each = self.vectors @ (coefficients / self.values.sqrt()[:, None])  # (N, C)
        weight = each.new_empty(each.shape[1], len(self.mean))
        for part in blocks(len(self.mean), len(self.roots)):
            weight[:, part] = each.T @ self._scaled(columns=part) * self.inverse[part]
        return weight

    def _scaled(self, rows: Tensor | slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """√w · z of some rows and columns."""
        x = self.features[rows, columns].double() - self.mean[columns]
        return x * self.inverse[columns] * self.roots[rows, None]


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of 0 … count, of no more than BLOCK numbers where each has `width` of them."""
    step = max(BLOCK // max(width, 1), 1)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _moments(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted mean and standard deviation of each feature (D,), and its largest size."""
    count, width = features.shape
    mean = torch.zeros(width, dtype=torch.float64, device=features.device)
    square, most = torch.zeros_like(mean), torch.zeros_like(mean)
    for part in blocks(count, width):
        mean += shares[part] @ features[part].double()
    for part in blocks(count, width):
        x = features[part].double()
        square += shares[part] @ (x - mean).square()
        most = torch.maximum(most, x.abs().amax(0))
    return mean, square.sqrt(), most
