"""Steps that fit into the memory of the GPU: in pieces, where a whole batch does not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo_core.transfer.snapshot import moving


class Fitting:
    """How many pieces a batch is computed in; its gradients, and so the training, stay the same.

    Only normalisation over the batch sees the difference: its statistics are then of a piece.
    `say`: what takes a line for people.
    """

    def __init__(self, pieces: int, say: Callable[[str], None]) -> None:
        self.pieces, self.say = pieces, say

    def run(self, model: nn.Module, gradients: Callable[[int], Tensor], rows: int) -> Tensor:
        """What `gradients` gives for a number of pieces, doubled until memory is enough.

        `rows`: how many pieces there can be. Statistics that were moved by a try that failed are
        put back.
        """
        if not torch.cuda.is_available():
            return gradients(self.pieces)
        before = _statistics(model)
        while True:
            try:
                return gradients(self.pieces)
            except RuntimeError as error:
                if not ran_out(error) or self.pieces >= rows:
                    raise
            self.pieces *= 2
            for tensor, value in before:
                tensor.copy_(value)
            clear()
            self.say(f"Out of memory: each batch is now computed in {self.pieces} pieces.")


def ran_out(error: RuntimeError) -> bool:
    """Whether the memory of the GPU ran out, so that less at once may fit."""
    from accelerate.utils.memory import should_reduce_batch_size

    return torch.cuda.is_available() and bool(should_reduce_batch_size(error))


def clear() -> None:
    """Give back what nobody uses any more."""
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)


def _statistics(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The buffers that a forward pass can move, with copies."""
    parameters = dict(model.named_parameters())
    moved = [tensor for name, tensor in moving(model).items() if name not in parameters]
    return [(tensor, tensor.clone()) for tensor in moved]
