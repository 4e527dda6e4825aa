"""The activation cache of a training: whether it is right, what it saves, and filling it.

Computed once are the activations that enter the first stage that trains. The numbers are those of
the uncached training, bit for bit on a CPU: what cannot be so is refused, and says why.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from zoo_core import activations
from zoo_core.data.loader import Feed, Order, worker_count
from zoo_core.data.samples import FixedViews, Samples, seeded
from zoo_core.humanize import duration
from zoo_core.model.zoo_model import ZooModel
from zoo_core.prefix import Prefix
from zoo_core.processes import Processes
from zoo_core.progress import Bar
from zoo_core.transfer.modes import modes_kept
from zoo_core.version import __version__
from zoo_core.weights.hashes import tensor_digest

SAMPLE = 32  # so many items of a dataset of one's own are read twice
WORTH = 0.05  # the share of the time that a cache must save


@dataclass(frozen=True)
class Cost:
    """Measured on a batch: seconds to read it and to run the prefix, and bytes of an activation."""

    reading: float
    prefix: float
    row: int


class Caching:
    """The cache of some sets of pictures at one boundary.

    `sets`: by title, in the order in which they are computed. `made_of`: what else the numbers
    depend on. `say`: what takes a line for people.
    """

    def __init__(
        self,
        model: ZooModel,
        prefix: Prefix,
        sets: Mapping[str, Samples],
        *,
        batch_size: int,
        workers: int | str,
        made_of: Mapping[str, Any],
        processes: Processes,
        say: Callable[[str], None],
        progress: bool,
    ) -> None:
        self.model, self.prefix, self.sets = model, prefix, dict(sets)
        self.batch_size, self.workers, self.made_of = batch_size, workers, dict(made_of)
        self.processes, self.say, self.progress = processes, say, progress

    @property
    def rows(self) -> int:
        """How many activations there are: one for each picture and view."""
        return sum(len(samples) * samples.views for samples in self.sets.values())

    def against(self) -> str:
        """What makes a cache wrong; nothing where it is right."""
        if any(samples.random for samples in self.sets.values()):
            return "pictures are augmented anew in each epoch"
        changing = [s.pictures.name for s in self.sets.values() if _changes(s)]
        if changing:
            return f"{changing[0]} gives other pictures each time"
        return self._depends_on_place()

    def _depends_on_place(self) -> str:
        """Whether a row's activations depend on its batch, on chance, or on the model's mode.

        Its two passes are also what the forecast is made from.
        """
        start = time.perf_counter()
        x = self._first()
        self.reading = time.perf_counter() - start
        step = min(len(x) - 1, 1)
        moved = torch.cat([x.new_zeros(step, *x.shape[1:]), x[: len(x) - step]])
        with modes_kept(self.model):
            self.model.train()
            with seeded(0):
                self.first = self.prefix(x)
            self.model.eval()
            start = time.perf_counter()  # the kernels are warm now
            with seeded(1):
                again = self.prefix(moved)[step:]
            if again.is_cuda:
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - start
        once = self.first[: len(x) - step]
        alike = _near if again.is_cuda else torch.equal
        if alike(once, again):
            return ""
        return "the frozen part gives other activations each time, or in each batch"

    def cost(self) -> Cost:
        """What a batch costs, from the passes of `against()`."""
        row = self.first[0].numel() * self.first.element_size()
        return Cost(self.reading, self.seconds, row)

    def _first(self) -> Tensor:
        samples = next(iter(self.sets.values()))
        keys = [(1, index) for index in range(min(self.batch_size, len(samples)))]
        return samples.__getitems__(keys)[0]

    def is_ready(self) -> bool:
        """Whether all is on disk already."""
        keys = {self._key(samples) for samples in self.sets.values()}
        return self.processes.first(lambda: keys <= {entry.key for entry in activations.entries()})

    def fill(self) -> str:
        """Put activations in the place of pictures; returns why not, where that fails.

        Then no set has them.
        """
        found: dict[str, Tensor] = {}
        for title, samples in self.sets.items():
            key = self._key(samples)
            held = activations.load(key)
            if self.processes.agree(held is None):
                try:
                    held = self._computed(title, samples, key)
                except _NoRoom as error:
                    return f"the activations cannot be kept: {error}"
            if self.processes.agree(held is None):
                return f"{activations.place()} is not shared by all processes"
            assert held is not None
            found[title] = held
        for title, samples in self.sets.items():
            samples.held = found[title]
        return ""

    def _computed(self, title: str, samples: Samples, key: str) -> Tensor | None:
        """Activations of a set, from the prefix; each process computes a part of each batch."""
        order = Order(
            len(samples),
            self.batch_size,
            seed=None,
            rank=self.processes.rank,
            world=self.processes.world,
        )
        feed = Feed(samples, order, self.workers)
        temporary = self.processes.first(_place_for_new)
        with activations.removed_on_error(temporary):
            store = _Store(temporary, len(samples) * samples.views, self.processes)
            steps = len(feed) * samples.views
            with Bar(f"caching {title}", total=steps, shown=self.progress) as bar:
                for epoch in range(1, samples.views + 1):
                    for batch in feed.epoch(epoch):
                        first = int(batch.indices[0]) + samples.view(epoch) * len(samples)
                        store.put(first, self.prefix(batch.x).cpu())
                        bar.step()
            name = {"name": samples.pictures.name}  # for people; the same data may have another
            return store.finish(key, lambda: self._facts(samples) | name, self.say)

    def _key(self, samples: Samples) -> str:
        return self.processes.first(lambda: activations.key_of(self._facts(samples)))

    def _facts(self, samples: Samples) -> dict[str, Any]:
        """All that the activations of a set depend on."""
        like = next(self.model.parameters())
        cpu = like.device.type == "cpu"
        return {
            "model": self.model.origin.reference,
            "config": dict(self.model.origin.config),
            "boundary": self.prefix.boundary,
            "prefix": self._prefix_digest,
            "input": asdict(self.model.input),
            "views": [samples.views, samples.seed] if isinstance(samples, FixedViews) else 1,
            "data": samples.fingerprint,
            "count": len(samples),
            "rows": self.prefix.rows,
            "type": str(like.dtype),
            "device": "cpu" if cpu else torch.cuda.get_device_name(like.device),
            "kernels": torch.backends.cpu.get_cpu_capability() if cpu else "",
            "threads": torch.get_num_threads() if cpu else 0,
            "products": torch.get_float32_matmul_precision(),
            "torch": torch.__version__,
            "zoo": __version__,
            **self.made_of,
        }

    @functools.cached_property
    def _prefix_digest(self) -> str:
        state = self.model.state_dict()
        state |= dict(self.model.named_buffers())  # also those that are not persistent
        still = [name for name in state if any(s.has(name) for s in self.prefix.stages)]
        return tensor_digest({name: state[name] for name in still})


class _NoRoom(Exception):
    """Neither memory nor the disk holds the activations; says why."""


class _Store:
    """Where computed rows go: to disk, and into memory where one process has them all."""

    def __init__(self, temporary: Any, rows: int, processes: Processes) -> None:
        self.temporary, self.rows, self.processes = temporary, rows, processes
        self.sink: activations.Sink | None = None
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
                self._fails(error)

    def _open(self, values: Tensor) -> None:
        size = self.rows * values[0].numel() * values.element_size()
        if self.processes.world == 1 and size <= activations.memory_budget():
            self.memory = values.new_empty(self.rows, *values.shape[1:])
        reason = activations.why_no_room(size)
        if reason or self.temporary is None:
            self._fails(OSError(reason or f"{activations.place()} cannot be written"))
            return
        if self.processes.main:
            activations.make_room(size)
        try:
            self.sink = activations.Sink(self.temporary, self.rows, values)
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        """Note it. One process alone stops where memory does not hold the rows either."""
        if self.sink is not None:
            with contextlib.suppress(OSError):
                self.sink.close()
        self.sink, self.error = None, error
        if self.memory is None and self.processes.world == 1:
            raise _NoRoom(self._reason()) from error

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
            self._fails(error)
        lost = self.processes.agree(self.error is not None)  # and all have written their part
        if not lost:
            try:
                self.processes.first(lambda: activations.finish(self.temporary, key, facts()))
            except OSError as error:
                self._fails(error)
                lost = True
        if lost:
            activations.remove(self.temporary) if self.temporary else None
            if self.memory is None:
                raise _NoRoom(self._reason())
            say(f"The cache lasts for this run only: {self._reason()}.")
        return self.memory if self.memory is not None else activations.load(key)


def _place_for_new() -> Any:
    """A folder for a new entry; None where none can be made."""
    try:
        return activations.temporary_entry()
    except OSError:
        return None


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
    with seeded(seed, index):
        return samples.read(index, plain)


def _near(once: Tensor, again: Tensor) -> bool:
    largest = once.abs().max().item()
    return torch.allclose(once, again, rtol=1e-2, atol=1e-2 * largest)


# --- what it saves -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """Seconds of a phase without and with a cache, of building it, and its bytes."""

    without: float
    building: float
    training: float
    bytes: int

    @property
    def pays(self) -> bool:
        """Whether it saves a share of the time that is worth the space."""
        return self.building + self.training < (1 - WORTH) * self.without

    def __str__(self) -> str:
        saved = f"about {duration(self.building + self.training)} in all"
        return f"{saved} instead of {duration(self.without)} without"


def forecast(
    cost: Cost,
    tail: float,
    sets: Sequence[Samples],
    *,
    batch_size: int,
    workers: int | str,
    epochs: int,
    passes: int,
) -> Forecast:
    """What a cache would save.

    `tail`: seconds of a training step from activations. `sets`: training, then validation pictures.
    `epochs`: how often each set is seen. `passes`: how many passes there are over the training set
    besides, to solve the head. Pictures that fit in memory are read once in any case.
    """
    without = building = training = 0.0
    for number, samples in enumerate(sets):
        batches = -(-len(samples) // batch_size)
        seen = epochs + passes if number == 0 else epochs
        held = samples.can_be_held
        reading = cost.reading / (1 if held else max(worker_count(len(samples), workers), 1))
        read = min(samples.views, seen) if held else seen
        without += batches * (read * reading + seen * cost.prefix)
        building += batches * samples.views * (reading + cost.prefix)
        # a step of validation has no gradients
        training += batches * epochs * (tail if number == 0 else tail / 3)
    rows = sum(len(samples) * samples.views for samples in sets)
    return Forecast(without + training, building, training, rows * cost.row)
