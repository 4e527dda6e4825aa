"""What averages of weights have in common: a copy of what moves, and the swap for validations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.transfer import Snapshot, moving
from zoo_regularizers.on_weights import OnTrained
from zoo_regularizers.pieces import pieces


def average_(
    averages: Mapping[str, Tensor], values: Mapping[str, Tensor], share: float, taken: Tensor | None
) -> None:
    """m ← m + share·(w - m) in place; numbers without a fraction are copied.

    `taken`: None, or a scalar on the device; at 0 nothing moves.
    """
    counts = [(m, values[name]) for name, m in averages.items() if not m.is_floating_point()]
    for count, value in counts:
        count.copy_(value if taken is None else torch.where(taken > 0, value, count))
    means = [(m, values[name].to(m.dtype)) for name, m in averages.items() if m.is_floating_point()]
    for some, targets in pieces([m for m, _ in means], [v for _, v in means]):
        if taken is None:
            torch._foreach_lerp_(some, targets, share)
            continue
        moved = torch._foreach_sub(targets, some)
        torch._foreach_mul_(moved, taken * share)
        torch._foreach_add_(some, moved)


class Averaging(OnTrained):
    """Keeps averages of the weights that train, and of buffers outside frozen modules.

    They are in the model during validations, and stay in it at the end. Half-precision weights
    are averaged in float32.
    """

    averages = True

    def __init__(self) -> None:
        super().__init__()
        self.means: dict[str, Tensor] = {}
        self.begun = False

    def attach(self, model: nn.Module, **given: Any) -> None:
        """What is unfrozen later joins with the value that it has then."""
        super().attach(model, **given)
        self.values = moving(self.model)  # once, since to list them takes longer than to average
        known = self.means
        self.means = {n: known[n] if n in known else _wide(t) for n, t in self.values.items()}

    @torch.no_grad()
    def add(self, share: float, taken: Tensor | None = None) -> None:
        """Take the weights as they are into the average, with this share."""
        average_(self.means, self.values, share, taken)
        self.begun = True

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        if not self.begun:
            yield
            return
        trained = Snapshot(self.model)
        self.put_in()
        try:
            yield
        finally:
            trained.restore(self.model)

    def detach(self) -> None:
        super().detach()
        if self.begun:
            self.put_in()

    def put_in(self) -> None:
        """The averages into the model."""
        Snapshot.of(self.means).restore(self.model)

    def state_dict(self) -> dict[str, Any]:
        return {"means": self.means, "begun": self.begun}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, mean in state["means"].items():
            self.means[name].copy_(mean)
        self.begun = state["begun"]


def _wide(tensor: Tensor) -> Tensor:
    half = tensor.is_floating_point() and tensor.itemsize < 4
    return tensor.detach().to(torch.float32 if half else tensor.dtype, copy=True)
