"""Where activations are kept: in memory, or mapped from a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from zoo_core.training.cache import disk
from zoo_core.training.cache.sink import Sink
from zoo_core.training.distributed import Processes


class NoRoom(Exception):
    """Neither memory nor the disk holds the activations; says why."""


class Store:
    """Where computed rows go: to disk, and into memory where one process has them all."""

    def __init__(self, temporary: Any, rows: int, processes: Processes) -> None:
        self.temporary, self.rows, self.processes = temporary, rows, processes
        self.sink: Sink | None = None
        self.memory: Tensor | None = None
        self.error: OSError | None = None

    def put(self, first: int, values: Tensor) -> None:
        if self.sink is None and self.memory is None and self.error is None:
            self._open(values)
        if self.memory is not None:
            self.memory[first : first + len(values)] = values
        if self.sink is not None:
            try:
                self.sink.put(first, values)
            except OSError as error:
                self.fails(error)

    def _open(self, values: Tensor) -> None:
        size = self.rows * values[0].numel() * values.element_size()
        if self.processes.world == 1 and size <= disk.memory_budget():
            self.memory = values.new_empty(self.rows, *values.shape[1:])
        if self.temporary is None:
            self.fails(OSError(f"{disk.place()} cannot be written"))
            return
        reason = disk.why_no_room(size)
        if reason:
            self.fails(OSError(reason))
            return
        if self.processes.main:
            disk.make_room(size)
        try:
            self.sink = Sink(self.temporary, self.rows, values)
        except OSError as error:
            self.fails(error)

    def fails(self, error: OSError) -> None:
        """No entry comes of it. One process alone stops where memory does not hold the rows."""
        if self.sink is not None:
            with contextlib.suppress(OSError):
                self.sink.close()
        self.sink, self.error = None, error
        if self.memory is None and self.processes.world == 1:
            raise NoRoom(self._reason()) from error

    def _reason(self) -> str:
        if self.error is None:
            return "another process found no room"
        return self.error.strerror or str(self.error)

    def finish(
        self, key: str, facts: Callable[[], Mapping[str, Any]], say: Callable[[str], None]
    ) -> Any:
        """The activations, from memory or from the file that is now in its place.

        `facts`: asked for by the process that writes them, since they take reading the data.
        """
        try:
            if self.sink is not None:
                self.sink.close()
        except OSError as error:
            self.fails(error)
        lost = self.processes.agree(self.error is not None)  # and all have written their part
        if not lost:
            try:
                self.processes.first(lambda: disk.finish(self.temporary, key, facts()))
            except OSError as error:
                self.fails(error)
                lost = True
        if lost:
            if self.temporary:
                disk.remove_if_possible(self.temporary)
            if self.memory is None:
                raise NoRoom(self._reason())
            say(f"The cache lasts for this run only: {self._reason()}.")
        return self.memory if self.memory is not None else disk.load(key)


def place_for_new() -> Any:
    """A folder for a new entry; None where none can be made."""
    try:
        return disk.temporary_entry()
    except OSError:
        return None
