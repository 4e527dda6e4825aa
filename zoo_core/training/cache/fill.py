"""The activation cache of a phase: whether it is right, what it saves, and filling it.

Computed once are the activations that enter the first stage that trains. The numbers are those of
the uncached training, bit for bit on a CPU: what cannot be so is refused, and says why.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.loader import Feed, Order
from zoo_core.data.pictures import fingerprint_of
from zoo_core.data.samples import FixedViews, Samples, add_digests, seeded
from zoo_core.training.cache import disk
from zoo_core.training.cache.forecast import Cost
from zoo_core.training.cache.prefix import Prefix
from zoo_core.training.cache.store import NoRoom, Store, place_for_new
from zoo_core.training.console import Console
from zoo_core.training.task import Task
from zoo_core.transfer.modes import modes_kept
from zoo_core.version import __version__
from zoo_core.weights.hashes import tensor_digest
from zoo_core.weights.published import written_input

SAMPLE = 32  # so many items of a dataset of one's own are read twice


class Caching:
    """The cache of some sets of pictures at one boundary.

    `sets`: by title, in the order in which they are computed.
    """

    def __init__(
        self, task: Task, prefix: Prefix, sets: Mapping[str, Samples], console: Console
    ) -> None:
        self.model, self.settings, self.processes = task.model, task.settings, task.processes
        self.precision = task.precision
        self.prefix, self.sets, self.console = prefix, dict(sets), console

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
        keys = [(1, index) for index in range(min(self.settings.batch_size, len(samples)))]
        return samples.__getitems__(keys)[0]

    def is_ready(self) -> bool:
        """Whether all is on disk already."""
        keys = {self._key(samples) for samples in self.sets.values()}
        return self.processes.first(lambda: keys <= {entry.key for entry in disk.entries()})

    def fill(self) -> str:
        """Put activations in the place of pictures; returns why not, where that fails.

        Then no set has them.
        """
        cached: dict[str, Tensor] = {}
        for title, samples in self.sets.items():
            key = self._key(samples)
            activations = disk.load(key, self.console.say)
            if self.processes.agree(activations is None):
                samples.witnessed = {}
                try:
                    activations = self._computed(title, samples, key)
                except NoRoom as error:
                    return f"the activations cannot be kept: {error}"
                finally:
                    samples.witnessed = None
            if self.processes.agree(activations is None):
                return f"{disk.place()} is not shared by all processes"
            assert activations is not None
            cached[title] = activations
        for title, samples in self.sets.items():
            samples.held = cached[title]
        return ""

    def _computed(self, title: str, samples: Samples, key: str) -> Tensor | None:
        """Activations of a set, from the prefix; each process computes a part of each batch."""
        order = Order(
            len(samples),
            self.settings.batch_size,
            seed=None,
            rank=self.processes.rank,
            world=self.processes.world,
        )
        feed = Feed(samples, order, self.settings.workers, self.console.say)
        read = {} if feed.loader is not None else samples.witnessed or {}
        temporary = self.processes.first(place_for_new)
        with contextlib.closing(feed), disk.removed_on_error(temporary):
            store = Store(temporary, len(samples) * samples.views, self.processes)
            steps = len(feed) * samples.views
            with self.console.bar(f"caching {title}", steps) as bar:
                for epoch in range(1, samples.views + 1):
                    for batch in feed.epoch(epoch):
                        first = int(batch.indices[0]) + samples.view(epoch) * len(samples)
                        store.put(first, self.prefix(batch.x).cpu())
                        if feed.loader is not None:
                            add_digests(read, batch.y)  # type: ignore[arg-type]
                        bar.step()
            if not self._are_those_of_the_key(samples, read):
                what = f"pictures of {samples.pictures.name}"
                store.fails(OSError(f"{what} were replaced while they were read"))
            name = {"name": samples.pictures.name}  # for people; the same data may have another
            return store.finish(key, lambda: self._facts(samples) | name, self.console.say)

    def _are_those_of_the_key(self, samples: Samples, read: dict[int, bytes]) -> bool:
        """Whether the bytes that activations were computed from are those that the key names."""
        whole: dict[int, bytes] = {}
        for part in self.processes.gather(read):
            add_digests(whole, part)
        found = fingerprint_of(whole.get(index, b"") for index in range(len(samples)))
        return self.processes.first(lambda: found == samples.fingerprint)

    def _key(self, samples: Samples) -> str:
        return self.processes.first(lambda: disk.key_of(self._facts(samples)))

    def _facts(self, samples: Samples) -> dict[str, Any]:
        """All that the activations of a set depend on."""
        like = next(self.model.parameters())
        cpu = like.device.type == "cpu"
        return {
            "model": self.model.origin.reference,
            "config": dict(self.model.origin.config),
            "boundary": self.prefix.boundary,
            "prefix": self._prefix_digest,
            "input": written_input(self.model.input),
            "views": _views(samples),
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
            "user": os.getuid() if hasattr(os, "getuid") else 0,  # another's are not believed
            "precision": self.precision.name,
            "compile": self.settings.compile,
            "channels_last": any(map(_is_channels_last, self.model.parameters())),
        }

    @functools.cached_property
    def _prefix_digest(self) -> str:
        state = self.model.state_dict()
        state |= dict(self.model.named_buffers())  # also those that are not persistent
        still = [name for name in state if any(s.has(name) for s in self.prefix.stages)]
        return tensor_digest({name: state[name] for name in still})


def _views(samples: Samples) -> Any:
    if not isinstance(samples, FixedViews):
        return 1
    return [samples.views, samples.seed, samples.mirrors]


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


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and not weight.is_contiguous()


def _near(once: Tensor, again: Tensor) -> bool:
    largest = once.abs().max().item()
    return torch.allclose(once, again, rtol=1e-2, atol=1e-2 * largest)
