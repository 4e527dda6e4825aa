"""evaluate(): how well a model does on pictures whose classes are known."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.data.loader import loader
from zoo_core.data.opening import open_data
from zoo_core.data.readers import leave_where_a_script_runs_anew, readers_watched
from zoo_core.data.samples import Samples
from zoo_core.humanize import duration
from zoo_core.inference.held_out import held_out_of
from zoo_core.inference.matching import (
    as_model,
    matched,
    place_of,
    refuse_wrong_size,
    say_unlike,
)
from zoo_core.inference.measured import Measured
from zoo_core.inference.metrics import Metrics, measured
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.progress import Bar
from zoo_core.transfer.eval_twin import in_eval_mode


def evaluate(
    model: ZooModel | Run | str | Path,
    data: Any = None,
    *,
    batch_size: int = 64,
    workers: int | str = "auto",
    unreadable: str = "stop",
    progress: bool = True,
) -> Metrics:
    """Accuracy, log-loss, calibration and figures by class of a model on data.

    `model`: a model, a run, the path of a run, or a name (its default weights); it is measured on
    the device where it is, and not changed. `data`: a spec (`digits#test`, `folder:PATH`), a
    Dataset or a DataLoader; None: the pictures that the run held out. `batch_size`: pictures at
    once; `workers`: processes that read them, or "auto". `unreadable`: "stop" at a picture that
    cannot be read, or "skip" all those, with their names. `progress`: a bar and how quick it was,
    on stderr, and how many of the pictures were trained on, where there are some.

    Classes are matched by name where both sides have names. With several classes for a picture
    (multi-label) the figures are those of yes and no.

    Raises DataError where the data has classes that the model does not know, and without data for
    what is no run or held nothing out.

    >>> import zoo_core as zoo
    >>> figures = zoo.evaluate("lenet5", "mnist5k#test", progress=False)
    >>> figures["accuracy"] > 0.98, figures["top5"] > 0.99, figures["ece"] < 0.02
    (True, True, True)
    """
    leave_where_a_script_runs_anew()
    network = as_model(model)
    if data is None:
        data = held_out_of(model, progress=progress)
    data = open_data(data, unreadable=unreadable, progress=progress)
    say_unlike(data, network)
    pictures = matched(data, network.labels, network.num_outputs)
    refuse_wrong_size(network, pictures.read(0))
    samples = Samples(pictures, network.transform(), random=False, seed=0)
    start = time.perf_counter()
    bar = Bar("evaluating", total=len(samples), shown=progress, unit="pictures")
    with bar, readers_watched():
        batches = loader(samples, batch_size, shuffle=False, workers=workers, say=bar.line)
        with contextlib.closing(batches):
            scores, targets = scored(network, batches, bar.step)
        seconds = time.perf_counter() - start
        rate = f"{len(targets) / seconds:,.0f} pictures/s"
        bar.line(f"{len(targets):,} pictures in {duration(seconds)}, {rate}")
        seen = network._trained_on.count(pictures) if network._trained_on else None
        if seen:
            bar.line(
                f"{seen:,} of {len(targets):,} pictures were trained on: their figures say little."
            )
    names = network.labels or [str(i) for i in range(network.num_outputs)]
    figures = measured(scores, _as_wide(targets, len(names)), names)
    told = {} if seen is None else {"trained_on": seen}
    return cast(Metrics, Measured({**figures, **told}))


def _as_wide(targets: Tensor, classes: int) -> Tensor:
    """Multi-label targets with a column for each class of the model; no picture has the last."""
    return targets if targets.ndim == 1 else functional.pad(targets, (0, classes - len(targets.T)))


def scored(
    model: nn.Module, batches: Iterable[Any], step: Callable[..., None] | None = None
) -> tuple[Tensor, Tensor]:
    """All scores (N, classes) as float32 and all targets as they come, on the model's device."""
    device, dtype = place_of(model)
    network = in_eval_mode(model)
    scores, targets = [], []
    with torch.inference_mode():
        for x, y in batches:
            scores.append(network(x.to(device, dtype, non_blocking=True)).float())
            targets.append(y.to(device))
            if step is not None:
                step(count=len(y))
    return torch.cat(scores), torch.cat(targets)
