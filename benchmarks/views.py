"""Fixed views of each picture, which can be cached, against views that are new in each epoch.

EfficientNet-Lite0 from ImageNet, trained from `block6` on for 32 epochs: the frozen part before it
is most of the work, and with fixed views it is computed once for each of them, in the first epochs
that show it. A seed draws pictures, weights, order and crops, the same for every way. Fixed views
count as good where they are no more than 0.3 points behind fresh ones.

    python -m benchmarks.evidence views                  what is not there yet of 5 seeds
    python -m benchmarks.evidence views --seeds 1 --sets cells
    python -m benchmarks.evidence views --seeds 0        only the page

Each result is a line of benchmarks/views.jsonl as it comes, and none of those is computed again.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import zoo_core as zoo
from benchmarks.page_parts import put
from benchmarks.photos import LAST, MODEL, Job, measure_all, results
from benchmarks.picture_sets import SETS
from zoo_core.cache import using_cache

FOUND = Path(__file__).with_name("views.jsonl")
COUNTS = {"stamps": 10, "cells": 50, "fashion": 10}  # pictures per class
FRESH = "fresh"
WAYS: dict[str, bool | int] = {FRESH: True, "4": 4, "8": 8, "16": 16}
SEEDS, EPOCHS, CLOSE = 5, 32, 0.3


def main(page: Path, words: Sequence[str]) -> None:
    asked = _arguments(words)
    measure_all(
        [
            Job(name, COUNTS[name], seed, way)
            for seed, name, way in itertools.product(range(asked.seeds), asked.sets, WAYS)
        ],
        trained,
        FOUND,
    )
    put(page, "views", section(results(FOUND)))


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.evidence views")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0")
    parser.add_argument("--sets", nargs="+", choices=COUNTS, default=list(COUNTS))
    return parser.parse_args(words)


def trained(job: Job) -> tuple[Job, float, str, float]:
    """The balanced accuracy of a training with views of one kind, and its CPU seconds."""
    torch.manual_seed(job.seed)
    train, test = SETS[job.set].split(job.count, job.seed)
    model = zoo.create(MODEL, pretrained=True, img_size=SETS[job.set].size)
    model.reset_head(train.num_classes, labels=train.classes)
    augment = WAYS[job.arm]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        zoo.finetune(
            model,
            train,
            val=False,
            freeze_until=LAST,
            epochs=EPOCHS,
            batch_size=16,
            lr=3e-4,
            augment=augment,
            cache=augment is not True,
            head="random",
            seed=job.seed,
            workers=0,
            out=False,
            progress=False,
        )
    seconds = time.process_time() - start
    found = zoo.evaluate(model, test, progress=False)
    return job, statistics.mean(found["per_class"].values()), "", seconds


def section(found: Mapping[Job, Mapping[str, Any]]) -> str:
    """The part of the page."""
    doc = " ".join((__doc__ or "").split("\n\n")[1].split())
    parts = ["## Fixed views against fresh ones", f"`python -m benchmarks.evidence views`. {doc}"]
    parts += [
        "Balanced accuracy in percent, mean and standard deviation over the seeds; the paired "
        "difference to fresh views, with its standard error; and the CPU time of a training."
    ]
    for name, count in COUNTS.items():
        own = {job: fact for job, fact in found.items() if job.set == name}
        if own:
            parts += [f"### {SETS[name].title}, {count} a class", table(own)]
    return "\n\n".join(parts)


def table(found: Mapping[Job, Mapping[str, Any]]) -> str:
    """A row per way, of the seeds that all ways have."""
    seeds = set.intersection(*({j.seed for j in found if j.arm == way} for way in WAYS))
    scores = {
        way: [100 * fact["accuracy"] for job, fact in sorted_by_seed(found, way, seeds)]
        for way in WAYS
    }
    lines = ["| views | accuracy | against fresh | | CPU | seeds |", "|---|---|---|---|--:|--:|"]
    for way, own in scores.items() if seeds else ():
        pairs = [a - b for a, b in zip(own, scores[FRESH], strict=True)]
        behind = statistics.mean(pairs)
        judged = "" if way == FRESH else "as good" if behind >= -CLOSE else "worse"
        apart = "" if way == FRESH else f"{behind:+.2f} ± {_error(pairs):.2f}"
        seconds = [float(fact["seconds"]) for _, fact in sorted_by_seed(found, way, seeds)]
        lines.append(
            f"| {way} | {statistics.mean(own):.2f} ± {_spread(own):.2f} | {apart} | {judged} "
            f"| {statistics.mean(seconds):.0f} s | {len(seeds)} |"
        )
    return "\n".join(lines)


def sorted_by_seed(
    found: Mapping[Job, Mapping[str, Any]], way: str, seeds: set[int]
) -> list[tuple[Job, Mapping[str, Any]]]:
    own = [(job, fact) for job, fact in found.items() if job.arm == way and job.seed in seeds]
    return sorted(own, key=lambda pair: pair[0].seed)


def _error(values: Sequence[float]) -> float:
    return _spread(values) / math.sqrt(len(values))


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
