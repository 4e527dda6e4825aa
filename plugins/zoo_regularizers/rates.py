"""At which learning rate each weight moves: what a proximal step has to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


class Rates:
    """Weights by the parameter group of the optimizer that moves them.

    Weights that no group holds do not move and are left out; without an optimizer all move at 1.
    """

    def __init__(self, weights: Mapping[str, Tensor], optimizer: Any) -> None:
        ours = {id(weight) for weight in weights.values()}
        groups: Any = [{"lr": 1.0, "params": list(weights.values())}]
        if optimizer is not None:
            groups = optimizer.param_groups
        ours_by_group = [(group, [w for w in group["params"] if id(w) in ours]) for group in groups]
        self.groups: list[tuple[Mapping[str, Any], list[Tensor]]] = [
            (group, own) for group, own in ours_by_group if own
        ]

    def now(self) -> Iterator[tuple[list[Tensor], float | Tensor]]:
        """Weights, and their learning rate as it is now: a number, or a scalar on the device."""
        for group, weights in self.groups:
            yield [weight.detach() for weight in weights], group["lr"]
