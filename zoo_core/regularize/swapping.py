"""The weights that train and those that are validated, for loops that are told of moments only."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.regularize.stack import Stack
from zoo_core.transfer.modes import modes_kept

State = dict[str, Any]


class Swapping:
    """`stack.evaluating()` by two calls, and what a checkpoint needs of both kinds of weights.

    `inside`: whether what is validated is in the model now.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack, self.inside = stack, False
        self._evaluating = contextlib.ExitStack()
        self._modes: dict[nn.Module, bool] = {}
        self._seen = -1  # the stack's steps at the last validation

    def note_modes(self, model: nn.Module) -> None:
        """What averages wants to know what trains, and a loop evaluates before it says so."""
        self._modes = {module: module.training for module in model.modules()}

    def enter(self, model: nn.Module) -> None:
        """A validation begins: put into the model what is validated."""
        with modes_kept(model):
            for module, mode in self._modes.items():
                module.training = mode
            self._evaluating.enter_context(self.stack.evaluating())
        self.inside, self._seen = True, self.stack.steps

    def leave(self) -> None:
        """It is over, or failed: the weights that train are back."""
        self._evaluating.close()
        self.inside = False

    def both(self, model: nn.Module, state: Callable[[], State]) -> tuple[State, State] | None:
        """What trains, and what is validated; None where they are the same.

        `state`: the state dict of the model, or of what it is in.
        """
        if not self.stack.using("evaluating"):
            return None
        inside = self.inside
        if inside:
            self.leave()
        trains = copied(state()) if inside else state()
        with self._looking(model):
            validated = copied(state())
        moved = differing(validated, trains)
        if inside:
            self.enter(model)
        return (trains, {**trains, **moved}) if moved else None

    @contextlib.contextmanager
    def _looking(self, model: nn.Module) -> Iterator[None]:
        """As in a validation, but not counted as one: some averages are taken at those."""
        seen = self._seen
        before = copy.deepcopy(self.stack.state_dict()) if seen != self.stack.steps else None
        self.enter(model)
        yield
        self.leave()
        self._seen = seen
        if before is not None:
            self.stack.load_state_dict(before)


def copied(state: Mapping[str, Any]) -> State:
    """A state dict that does not move with the model."""
    return {n: v.detach().clone() if isinstance(v, Tensor) else v for n, v in state.items()}


def differing(state: Mapping[str, Any], other: Mapping[str, Any]) -> State:
    """The tensors of a state dict that another one has otherwise."""
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and not torch.equal(value, other[name].to(value.device))
    }
