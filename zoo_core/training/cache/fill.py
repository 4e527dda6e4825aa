"""The activation cache of a phase: whether it is right, what it saves, and filling it.

Computed once are the activations that enter the first stage that trains, for each picture: which
set it is in does not matter. The numbers are those of the uncached training, bit for bit on a CPU:
what cannot be so is refused, and says why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.samples import FixedViews, Samples, seeded
from zoo_core.training.cache import disk
from zoo_core.training.cache.batches import Part, at, pictures_at, row_key, witnessing
from zoo_core.training.cache.facts import facts_of
from zoo_core.training.cache.forecast import Cost
from zoo_core.training.cache.prefix import Prefix
from zoo_core.training.cache.proof import Proof, pictures_for
from zoo_core.training.cache.store import Gathering, NoRoom, Rows
from zoo_core.training.console import Console
from zoo_core.training.task import Task

SAMPLE = 32  # so many items of a dataset of one's own are read twice


class Caching:
    """The cache of some sets of pictures at one boundary.

    `sets`: by title, in the order in which they are computed. `missing`: which of their rows are
    in no store yet, once `look` has looked.
    """

    def __init__(
        self, task: Task, prefix: Prefix, sets: Mapping[str, Samples], console: Console
    ) -> None:
        self.model, self.settings, self.processes = task.model, task.settings, task.processes
        self.precision = task.precision
        self.prefix, self.sets, self.console = prefix, dict(sets), console
        self.gathered: dict[str, Gathering] = {}
        self.missing: dict[str, list[int]] = {}
        self.proof: Proof | None = None
        self.reading = 0.0  # seconds that it takes to read a picture
        self._keys_there: dict[str, list[bytes]] = {}
        self._started: dict[str, Part] = {}
        self._known: dict[int, dict[str, Any]] = {}

    @property
    def rows(self) -> int:
        """How many activations there are: one for each picture and view."""
        return sum(len(samples) * samples.views for samples in self.sets.values())

    @property
    def computed(self) -> int:
        """How many of them are computed."""
        return sum(map(len, self.missing.values()))

    # --- whether it is right ---

    def against(self) -> str:
        """What makes a cache wrong; nothing where it is right."""
        if any(samples.random for samples in self.sets.values()):
            return "pictures are augmented anew in each epoch"
        changing = [s.pictures.name for s in self.sets.values() if _changes(s)]
        if changing:
            return f"{changing[0]} gives other pictures each time"
        self._look()
        if self.is_mostly_there():
            return ""
        return self._depends_on_place()

    def is_mostly_there(self) -> bool:
        """Whether half of the rows, at least, are there: the rest costs less than an epoch."""
        path = disk.place() / disk.key_of(self._facts())
        known = self.processes.first(lambda: disk.entry_at(path) is not None)
        return known and 2 * self.computed <= self.rows

    def _look(self) -> None:
        """Find what is there; of several processes the first one does."""
        for title, samples in self.sets.items():
            count, alone = len(samples) * samples.views, self.processes.world == 1
            rows = Gathering(self._facts(), count, alone=alone, say=self.console.say)
            if self.processes.main and rows.has_blocks():
                self._keys_there[title] = [row_key(samples, p) for p in range(count)]
                rows.find(self._keys_there[title])
            self.gathered[title] = rows
            self.missing[title] = self.processes.from_main(rows.missing())

    def _facts(self) -> dict[str, Any]:
        """All that activations depend on, but for the pictures."""
        rows = self.prefix.rows  # fewer, once a GPU had no memory for them
        if rows not in self._known:
            how = {"precision": self.precision.name, "compile": self.settings.compile}
            self._known[rows] = facts_of(self.model, self.prefix.stages, rows, **how)
        return self._known[rows]

    def _depends_on_place(self) -> str:
        """Whether a row's activations depend on its batch, on chance, or on the model's mode.

        Its two passes are also what the forecast is made from, and what they computed is kept.
        """
        title = next((t for t in self.missing if self.missing[t]), next(iter(self.sets)))
        samples, rows = self.sets[title], self.prefix.rows
        chosen = self.missing[title][: pictures_for(self.prefix)]
        positions = chosen or [*range(min(rows, len(samples)))]
        start = time.perf_counter()
        with witnessing(samples):
            x, read = samples.__getitems__([at(samples, p) for p in positions])
        self.reading = (time.perf_counter() - start) / len(positions)
        self.proof = Proof(self.prefix, x)
        if not self.proof.holds:
            return "the frozen part gives other activations each time, or in each batch"
        if self.prefix.rows != rows:
            self._look()
        if chosen:
            keys = [row_key(samples, p, read) for p in chosen]
            self._started[title] = Part(chosen, self.proof.rows.cpu(), keys)
        return ""

    def cost(self) -> Cost:
        """What a batch costs, from the passes of the proof."""
        assert self.proof is not None
        row = self.proof.rows[0].numel() * self.proof.rows.element_size()
        return Cost(self.reading * self.settings.batch_size, self.proof.seconds, row)

    def batch(self) -> Tensor:
        """A batch of activations, as the part that trains gets them."""
        assert self.proof is not None
        return self.proof.rows[: self.settings.batch_size]

    # --- filling ---

    def fill(self) -> str:
        """Put activations in the place of pictures; returns why not, where that fails.

        Then no set has them.
        """
        cached: dict[str, Rows] = {}
        keys: dict[str, dict[int, bytes]] = {title: {} for title in self.sets}
        try:
            for title, part in self._computed():
                kept = self.gathered[title].put(*part)
                keys[title] |= zip(part.positions, kept, strict=True)
            for title in self.sets:
                rows = self._settled(title, keys[title])
                if rows is None:
                    return f"{disk.place()} is not shared by all processes"
                cached[title] = rows
        except NoRoom as error:
            return f"the activations cannot be kept: {error}"
        for title, samples in self.sets.items():
            samples.held = cached[title]
        return ""

    def _settled(self, title: str, keys: Mapping[int, bytes]) -> Rows | None:
        """The rows of a set, once this process has computed its part, with `keys` by position.

        None where one does not find what others have computed.
        """
        rows, processes = self.gathered[title], self.processes
        if not rows.alone:
            rows.flush()
            if processes.agree(rows.error is not None):
                raise NoRoom(rows.reason())
            known = dict(enumerate(processes.from_main(self._keys_there.get(title, []))))
            for found in processes.gather(keys):
                known |= found
            rows.find([known.get(position, b"") for position in range(rows.count)])
            if processes.agree(bool(rows.missing())):
                return None
        return rows.finish()

    def _computed(self) -> Iterator[tuple[str, Part]]:
        """What this process computes, by title; all batches but the last one are full."""
        for title, started in self._started.items():
            if self.processes.main:
                yield title, started
        size = self.prefix.rows
        own = {title: self._own(title) for title in self.sets}
        steps = -(-sum(map(len, own.values())) // size)
        together: list[tuple[str, Part]] = []
        with self.console.bar("caching", steps) as bar:
            how = self.settings.workers, self.console.say
            for title, read in pictures_at(self.sets, own, size, *how):
                together.append((title, read))
                if sum(len(part.values) for _, part in together) == size:
                    yield from self._passed(together)
                    together = []
                    bar.step()
            if together:
                yield from self._passed(together)
                bar.step()

    def _own(self, title: str) -> list[int]:
        """The positions in a set whose rows this process computes."""
        started = self._started.get(title)
        rest = {*self.missing[title]} - {*(started.positions if started else ())}
        return sorted(rest)[self.processes.rank :: self.processes.world]

    def _passed(self, together: list[tuple[str, Part]]) -> Iterator[tuple[str, Part]]:
        """Pictures, maybe of two sets, through the prefix in one pass."""
        values = self.prefix(torch.cat([part.values for _, part in together])).cpu()
        sizes = [len(part.values) for _, part in together]
        for (title, part), rows in zip(together, values.split(sizes), strict=True):
            yield title, part._replace(values=rows)


def _changes(samples: Samples) -> bool:
    """Whether a dataset that zoo did not open gives other pictures under another seed."""
    if samples.pictures.fixed:
        return False
    step = max(len(samples) // SAMPLE, 1)
    return any(
        not torch.equal(_read(samples, 1, index), _read(samples, 2, index))
        for index in range(0, len(samples), step)
    )


def _read(samples: Samples, seed: int, index: int) -> Tensor:
    plain = samples.plain if isinstance(samples, FixedViews) else samples.transform
    with seeded(seed, index, numpy=True):
        return samples.read(index, plain)
