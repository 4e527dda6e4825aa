"""One line of a list: a model with one of its weights, or a model without any."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import ModelInfo, WeightsInfo


@dataclass(frozen=True)
class Row:
    """A model, and the weights that its figures are of. A figure that nobody states is None."""

    model: ModelInfo
    weights: WeightsInfo | None = None

    @property
    def name(self) -> str:
        """What create() takes for it; the default weights go by the model's name alone.

        >>> [row.name for row in rows_of(catalogue().find("lenet5").model)]
        ['lenet5', 'lenet5.fashion_mnist']
        """
        bare = catalogue().bare(self.model)
        alone = self.weights is None or self.weights.default
        return bare if alone else f"{bare}.{self.weights.tag}"  # type: ignore[union-attr]

    @property
    def reference(self) -> str:
        """The same with its weights by name, also where they are the default."""
        bare = catalogue().bare(self.model)
        return f"{bare}.{self.weights.tag}" if self.weights else bare

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its input."""
        return (self.weights or self.model).input.size

    @property
    def side(self) -> int:
        return max(self.shape[1:])

    @property
    def gmacs(self) -> float | None:
        """Billions of multiply-adds for a picture of its input, which may not be the model's."""
        if self.weights is not None and self.weights.gmacs is not None:
            return self.weights.gmacs
        return self.model.gmacs if self.shape == self.model.input.size else None

    @property
    def top1(self) -> float | None:
        return accuracy(self.weights)[0]

    @property
    def data(self) -> str:
        """What its top-1 was measured on, or nothing."""
        return accuracy(self.weights)[1]

    @property
    def licence(self) -> str | None:
        return self.weights.license if self.weights else None

    @property
    def is_here(self) -> bool:
        """Whether its weights are on this machine, so that no network is needed."""
        from zoo_core.weights.here import is_here

        return self.weights is not None and is_here(self.weights)

    def tagged(self, pattern: str) -> bool:
        """Whether its weights have such a tag; an empty pattern asks for nothing."""
        if not pattern:
            return True
        return self.weights is not None and fnmatch.fnmatchcase(self.weights.tag, pattern)


def accuracy(weights: WeightsInfo | None) -> tuple[float | None, str]:
    """The first top-1 accuracy of weights, in percent, and the data that it was measured on.

    >>> accuracy(catalogue().find("lenet5.mnist5k").weights)
    (99.3, 'mnist5k-test')
    """
    for name, value in (weights.metrics if weights else {}).items():
        data, _, metric = name.rpartition(".")
        if metric == "top1":
            return value, data
    return None, ""


def rows_of(model: ModelInfo) -> list[Row]:
    """A row for each of its weights: the default first, then by accuracy. One where it has none."""
    rows = [Row(model, weights) for weights in model.weights.values()]
    best = sorted(rows, key=lambda row: (row.top1 is None, -(row.top1 or 0)))
    by_default = sorted(best, key=lambda row: not (row.weights and row.weights.default))
    return by_default or [Row(model)]


def matching(pattern: str | None) -> tuple[list[ModelInfo], str]:
    """Models that match; where none does, those with weights that do, and the pattern of their tag.

    >>> models, tag = matching("resnet50.a1_in1k")
    >>> [model.name for model in models], tag
    (['resnet50'], 'a1_in1k')
    """
    known = catalogue()
    models = known.models(pattern)
    distribution, colon, rest = (pattern or "").rpartition(":")
    base, dot, tag = rest.partition(".")
    if models or not dot:
        return models, ""
    named = known.models(distribution + colon + base)
    return [model for model in named if any(row.tagged(tag) for row in rows_of(model))], tag


def all_models(pattern: str | None = None) -> Iterator[ModelInfo]:
    """Models that match, as in `zoo list`; without a pattern, those with a prefix, too."""
    known = catalogue()
    yield from known.models(pattern)
    for prefix in sorted(known.prefixes()) if pattern is None else ():
        yield from known.models(f"{prefix}/*")
