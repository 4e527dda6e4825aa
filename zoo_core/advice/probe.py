"""What enters each stage of a network, pooled, of pictures: in one pass, and kept for each picture.

A row is what enters all stages after the first, one behind the other. It lies in the cache of
activations under the digest of its picture, so that a second question about the same pictures
computes nothing, and one about a few more computes those.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages, unknown_stage
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import Samples
from zoo_core.errors import DataError, ZooError
from zoo_core.humanize import duration
from zoo_core.model.boundaries import Pooling
from zoo_core.model.kept_parts import MeanPool
from zoo_core.model.pooled import poolings_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.progress import Bar
from zoo_core.training.cache.batches import Part, at, pictures_at, row_key, witnessing
from zoo_core.training.cache.facts import facts_of
from zoo_core.training.cache.prefix import Prefix, rows_for
from zoo_core.training.cache.store import Gathering, NoRoom, Rows
from zoo_core.transfer.eval_twin import in_eval_mode

BATCH = 32
REPEATED = 8  # pictures that are computed twice, to see that nothing else matters


@dataclass(frozen=True)
class Probed:
    """What enters each stage, pooled.

    `features`: by stage, (N, D), float32 on the CPU, in the order of the chain; "head" has the
    network's own features. `unsure`: by stage, why what enters it is not pooled. `seconds`: of the
    pass. `computed`: how many of the N rows were not in the cache.
    """

    features: dict[str, Tensor]
    unsure: dict[str, str]
    seconds: float
    computed: int


def probe(
    model: ZooModel,
    pictures: Pictures,
    *,
    stages: Sequence[str] | None = None,
    progress: bool = True,
) -> Probed:
    """What enters the stages of a model, as means over places, of pictures in their order.

    `stages`: some of them; all but the first by default. `progress`: a bar, on stderr. The model
    stays as it is, and where it is. Raises UnknownName for a stage that is not there, and DataError
    for no pictures, and for pictures that cannot be read.

    >>> import zoo_core as zoo
    >>> from zoo_core.data.opening import open_data
    >>> probed = probe(zoo.create("lenet5"), open_data("digits#test").subset(range(8)))
    >>> {stage: tuple(rows.shape) for stage, rows in probed.features.items()}
    {'conv2': (8, 6), 'fc1': (8, 16), 'fc2': (8, 120), 'head': (8, 84)}
    """
    start = time.perf_counter()
    wanted = _wanted(model, stages)
    if not len(pictures):
        raise DataError(f"{pictures.name} has no pictures.")
    found = poolings_of(model)
    if not any(isinstance(how, Pooling) for how in found.values()):
        why = next(iter(found.values()), "it is one stage")
        raise ZooError(f"Nothing inside of {model.info.name} can be pooled: {why}.")
    run = Boundaries(model, {n: how for n, how in found.items() if isinstance(how, Pooling)})
    unsure = {name: how for name, how in found.items() if isinstance(how, str)}
    rows, computed = _rows(run, pictures, progress)
    features = dict(zip(run.widths, rows.split(list(run.widths.values()), 1), strict=True))
    return Probed(
        {name: features[name] for name in wanted if name in features},
        {name: unsure[name] for name in wanted if name in unsure},
        time.perf_counter() - start,
        computed,
    )


def _wanted(model: ZooModel, stages: Sequence[str] | None) -> list[str]:
    first, *later = model.chain
    for name in stages or ():
        if name not in model.chain:
            raise unknown_stage(model.chain, name)
        if name == first:
            raise ZooError(f'What enters "{first}" are the pictures.', hint=" ".join(later))
    return [name for name in later if stages is None or name in stages]


class Boundaries(Prefix):
    """From pictures to rows (N, D), float32: what enters some stages, pooled, side by side."""

    def __init__(self, model: ZooModel, poolings: dict[str, Pooling]) -> None:
        device = next(model.parameters()).device
        stages = list(model.chain.values())[:-1]
        super().__init__(
            in_eval_mode(model), stages, rows_for(BATCH, device), contextlib.nullcontext
        )
        self.poolings = poolings
        self.widths = {name: how.width for name, how in poolings.items()}
        self.pools = {name: _pool(how) for name, how in poolings.items()}
        self.run = self._pooled

    def _pooled(self, x: Tensor) -> Tensor:
        parts = []
        for stage in self.model.chain.values():
            if stage.name in self.pools:
                parts.append(self.pools[stage.name](x).float())
            if stage.name != "head":
                x = run_stages(self.model, [stage], x)
        return torch.cat(parts, 1)


def _pool(how: Pooling) -> nn.Module:
    return MeanPool(how.axes, how.skip) if how.axes else Plain()


class Plain(nn.Module):
    """The rows as they are: others, since a stage may write into what enters it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


# --- found, or computed --------------------------------------------------------------------------


def _rows(run: Boundaries, pictures: Pictures, progress: bool) -> tuple[Tensor, int]:
    """The rows of all pictures (N, D), and how many of them were computed."""
    samples = Samples(pictures, run.model.transform(), random=False, seed=0)
    start, count = time.perf_counter(), len(samples)
    with Bar("probing", total=count, shown=progress, unit="pictures") as bar:
        gathered = _found(run, samples, bar.line)
        missing = gathered.missing()
        bar.step(count=count - len(missing))
        is_new = bool(missing) and not gathered.has_blocks()
        started = _first_rows(run, samples, missing) if is_new else None
        parts = _computed(run, samples, missing, started, bar)
        if is_new and started is None:
            bar.line(f"Not kept: {run.model.info.name} gives other numbers in each batch.")
            rows: Rows = torch.cat([part.values for part in parts])
        else:
            rows = _kept(gathered, parts)
        bar.line(_told(count, len(missing), time.perf_counter() - start))
    whole = rows if isinstance(rows, Tensor) else rows.index_select(0, torch.arange(count))
    return whole, len(missing)


def _kept(gathered: Gathering, parts: Iterator[Part]) -> Rows:
    try:
        for part in parts:
            gathered.put(*part)
        return gathered.finish()
    except NoRoom as error:
        raise ZooError(f"What enters the stages cannot be kept: {error}.") from error


def _told(count: int, computed: int, seconds: float) -> str:
    if not computed:
        return f"{count:,} pictures, all known from before"
    rate = f"{computed / seconds:,.0f} pictures/s"
    known = f", {count - computed:,} known from before" if computed < count else ""
    return f"{computed:,} pictures in {duration(seconds)}, {rate}{known}"


def _found(run: Boundaries, samples: Samples, say: Callable[[str], None]) -> Gathering:
    pooled = {name: [list(how.axes), how.skip] for name, how in run.poolings.items()}
    facts = facts_of(run.model, run.stages, run.rows, pooled=pooled)
    gathered = Gathering(facts, len(samples), say=say)
    if gathered.has_blocks():
        gathered.find([row_key(samples, position) for position in range(len(samples))])
    return gathered


def _first_rows(run: Boundaries, samples: Samples, missing: list[int]) -> Part | None:
    """The rows of the first two batches; None where a row depends on more than its picture.

    That is seen by a few of the first batch, which are in the second one, too: at other places and
    beside others. Where there are rows from before, it was seen then.
    """
    positions = missing[: 2 * run.rows - REPEATED]
    with witnessing(samples):
        x, read = samples.__getitems__([at(samples, position) for position in positions])
    first, new = x[: run.rows], x[run.rows :]
    repeated = first[:REPEATED].flip(0)
    rows, more = run(first), run(torch.cat([new, repeated]))
    once, again = rows[: len(repeated)].flip(0), more[len(new) :]
    room = 1e-2 if rows.is_cuda else 0.0
    if not torch.allclose(once, again, rtol=room, atol=room * rows.abs().max().item()):
        return None
    values = torch.cat([rows, more[: len(new)]]).cpu()
    return Part(positions, values, [row_key(samples, p, read) for p in positions])


def _computed(
    run: Boundaries, samples: Samples, missing: list[int], started: Part | None, bar: Bar
) -> Iterator[Part]:
    if started is not None:
        yield started
        bar.step(count=len(started.positions))
        missing = missing[len(started.positions) :]
    sets, own = {"": samples}, {"": missing}
    workers = 0 if samples.can_be_held else "auto"  # small ones: sending them takes longer
    for _, part in pictures_at(sets, own, run.rows, workers, bar.line):
        yield part._replace(values=run(part.values).cpu())
        bar.step(count=len(part.positions))
