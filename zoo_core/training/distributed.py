"""The processes of one training, on one machine or many; one alone costs nothing."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


class Processes:
    """Who takes part: `rank` of `world`, each on its own `device`, joined by Accelerate.

    >>> Processes().world
    1
    """

    def __init__(self) -> None:
        from accelerate.state import PartialState

        theirs = torch.distributed.is_available() and torch.distributed.is_initialized()
        # Without this, it leaves processes on CPUs alone that torchrun has started together.
        together = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
        state = PartialState(cpu=True) if together else PartialState()
        if state.num_processes > 1 and not theirs:
            atexit.register(_part)
        self.rank, self.world = state.process_index, state.num_processes
        self.device: torch.device = state.device

    @property
    def main(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            torch.distributed.barrier()

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in order, on each of them."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(values, value)
        return values

    def in_order(self, rows: Tensor, places: Tensor, size: int) -> Tensor:
        """The rows (n, …) of all processes, each at its place among `size`, on each of them."""
        whole = rows.new_zeros(size, *rows.shape[1:])
        for part, indices in self.gather((rows, places)):
            whole[indices] = part
        return whole

    def from_main(self, value: T) -> T:
        """What the main process has."""
        if self.world == 1:
            return value
        shared = [value]
        torch.distributed.broadcast_object_list(shared, src=0)
        return shared[0]

    def agree(self, value: bool) -> bool:
        """Whether any of them says yes."""
        return any(self.gather(value))

    def sum(self, value: Tensor) -> Tensor:
        """The sum over processes; on one, the value itself."""
        if self.world > 1:
            torch.distributed.all_reduce(value)
        return value

    def joined(self, model: nn.Module, *, idle: bool) -> nn.Module:
        """The model, with gradients that are means over all processes.

        `idle`: whether something trains that the outputs do not depend on.
        """
        if self.world == 1:
            return model
        device = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=device, find_unused_parameters=idle)

    def first(self, do: Callable[[], T]) -> T:
        """What the main process makes of it; the others wait for it. An error is everybody's."""
        if self.world == 1:
            return do()
        made: Any = None
        error: BaseException | None = None
        if self.main:
            try:
                made = do()
            except Exception as raised:
                error = raised
        made, error = self.from_main((made, error))
        if error is not None:
            raise error
        return made


def _part() -> None:
    """End the group while Python is whole: gloo's threads may still hold tensors, and a process
    aborts that frees them while it is taken down (pytorch/pytorch#179291).

    NCCL has no such threads, and would wait here for processes that may be gone.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
        torch.distributed.destroy_process_group()
