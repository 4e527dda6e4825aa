"""Rows of activations for pictures: found in a store, computed where they are not, and kept."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.cache import is_trusted
from zoo_core.training.cache import block, disk
from zoo_core.training.cache.rows import MappedRows, MemoryRows

BLOCK = 64 * 2**20  # bytes of rows that are written at once
PATIENCE = 60.0  # or seconds after which they are, so that a kill takes no more

Rows = Tensor | MappedRows


class NoRoom(Exception):
    """Neither memory nor the disk holds the activations; says why."""


class Gathering:
    """The rows of `count` positions, each with a key that says what it was computed from.

    `facts`: all else that they depend on. `alone`: whether this process computes all that is not
    there, so that rows stay in memory where they fit; one of several writes what it computes, and
    finds the rest. `say`: takes a line on what is damaged.

    >>> import tempfile
    >>> from zoo_core.cache import using_cache
    >>> def halves(numbers):
    ...     rows = Gathering({"what": "halves"}, len(numbers))
    ...     keys = [number.to_bytes(16) for number in numbers]
    ...     rows.find(keys)
    ...     for position in rows.missing():
    ...         print("computing", numbers[position])
    ...         rows.put([position], torch.tensor([numbers[position] / 2]), [keys[position]])
    ...     return rows.finish().tolist()
    >>> with using_cache(Path(tempfile.mkdtemp())):
    ...     halves([1, 2]), halves([3, 2, 1])
    computing 1
    computing 2
    computing 3
    ([0.5, 1.0], [1.5, 1.0, 0.5])
    """

    def __init__(
        self,
        facts: Mapping[str, Any],
        count: int,
        *,
        alone: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.facts, self.count, self.alone, self.say = facts, count, alone, say
        self.path = disk.place() / disk.key_of(facts)
        self.rows: MemoryRows | MappedRows | None = None
        self.there = torch.zeros(count, dtype=torch.bool)
        self.error: OSError | None = None
        self._waiting: list[tuple[Sequence[int], Tensor, list[bytes]]] = []
        self._since, self._asked = time.monotonic(), False

    def missing(self) -> list[int]:
        """The positions that have no row yet."""
        return (~self.there).nonzero().flatten().tolist()

    # --- finding ---

    def has_blocks(self) -> bool:
        """Whether there is anything to find."""
        return bool(self._blocks())

    def find(self, keys: Sequence[bytes]) -> None:
        """Take the rows with these keys, one for each position, out of the store."""
        wanted: dict[bytes, list[int]] = {}
        for position in self.missing():
            wanted.setdefault(keys[position], []).append(position)
        for path in self._blocks():
            try:
                if not wanted.keys().isdisjoint(block.keys_in(path)):
                    self._take(block.read(path), wanted)
            except FileNotFoundError:  # another process made room
                continue
            except block.Damaged:
                self.say(f"Not used: {path} is damaged. It is computed again.")
                disk.remove_block(path)

    def _blocks(self) -> list[Path]:
        try:
            if is_trusted(block.looked_at(self.path, stat.S_ISDIR)):
                return block.blocks_in(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            pass
        self.say(f"Not used: {self.path} is no folder of this user's. It is computed again.")
        return []

    def _take(self, found: block.Block, wanted: dict[bytes, list[int]]) -> None:
        pairs = [(p, row) for row, key in enumerate(found.keys) for p in wanted.pop(key, ())]
        if pairs:
            positions, rows = zip(*pairs, strict=True)
            self._place(found.rows).put(positions, found.rows, rows)
            self.there[torch.tensor(positions)] = True

    def _place(self, like: Tensor) -> MemoryRows | MappedRows:
        if self.rows is None:
            fits = self.count * _row_bytes(like) <= disk.memory_budget()
            self.rows = MemoryRows(self.count, like) if fits else MappedRows(self.count)
        return self.rows

    # --- computing ---

    def put(self, positions: Sequence[int], values: Tensor, keys: Iterable[bytes]) -> list[bytes]:
        """Add rows (n, …) that were computed; one without a key (b"") is not for later.

        Returns the keys that they are kept under. Raises NoRoom.
        """
        if self.alone and isinstance(self._place(values), MemoryRows):
            self._place(values).put(positions, values, range(len(values)))
            self.there[torch.tensor(positions)] = True
        self._ask_for_room(values)
        # What has none is read from the disk, too; a key that nobody looks for serves as well.
        kept = [key or os.urandom(block.KEY) for key in keys]
        self._waiting.append((positions, values, kept))
        size = sum(rows.nbytes for _, rows, _ in self._waiting)
        if size >= BLOCK or time.monotonic() - self._since > PATIENCE:
            self.flush()
        return kept

    def _ask_for_room(self, values: Tensor) -> None:
        if not self._asked:
            self._asked = True
            row = _row_bytes(values)
            reason = disk.why_no_room(self.count * row, len(self.missing()) * row)
            if reason:
                self._fails(OSError(reason))

    def flush(self) -> None:
        """Write what waits as a block."""
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        if not waiting or self.error is not None:
            return
        positions = [position for part, _, _ in waiting for position in part]
        keys = [key for _, _, part in waiting for key in part]
        values = torch.cat([rows for _, rows, _ in waiting])
        try:
            disk.make_room(values.nbytes)
            path = block.write(self._begun(), keys, values)
            if isinstance(self.rows, MappedRows) and self.alone:
                self.rows.put(positions, block.read(path).rows, range(len(positions)))
                self.there[torch.tensor(positions)] = True
        except OSError as error:
            self._fails(error)
        except block.Damaged:
            self._fails(OSError(f"the disk of {path} does not keep what is written"))

    def _begun(self) -> Path:
        """The folder of the store. Raises OSError, whose text says what cannot be written."""
        try:
            return disk.begin(self.facts)
        except OSError as error:
            why = f"{disk.place()} cannot be written: {error.strerror}" if error.strerror else error
            raise OSError(str(why)) from error

    def _fails(self, error: OSError) -> None:
        """Nothing more is kept. One process alone stops where memory does not hold the rows."""
        self.error, self._waiting = error, []
        if self.alone and not isinstance(self.rows, MemoryRows):
            raise NoRoom(self.reason()) from error

    def reason(self) -> str:
        """Why nothing more is kept."""
        if self.error is None:
            return "another process found no room"
        return self.error.strerror or str(self.error)

    def finish(self) -> Rows:
        """The rows of all positions, once none is missing. Raises NoRoom."""
        self.flush()
        with contextlib.suppress(OSError):  # that rows are right is worth knowing without them
            disk.begin(self.facts)
        if self.error is not None:
            self.say(f"The cache lasts for this run only: {self.reason()}.")
        assert self.rows is not None and self.there.all()
        return self.rows.whole if isinstance(self.rows, MemoryRows) else self.rows


def _row_bytes(rows: Tensor) -> int:
    return rows[0].numel() * rows.element_size()
