"""What to train, on real pictures: EfficientNet-Lite0 from ImageNet, by pictures per class.

Five ways. From scratch, all of it; the head alone, solved in closed form; `keep_until`, ended where
the training pictures choose by the log-loss of their leave-one-out scores, with a solved head; the
last stages, from `block6` on; and everything. What is trained step by step sees each picture
augmented anew in each epoch, and sees the same number of pictures whichever way: 20 epochs of up to
40 pictures, 12 of 160, 8 of 640, 4 of more. All ways see pictures of the same size, smaller than
the 224 pixels of the weights, for time. Of stamps there are enough for 10 a class, no more. A seed
draws pictures, weights and order, the same for every way, so that differences are paired.

    python -m benchmarks.evidence photos                  what is not there yet of 5 seeds; all of
                                                          it is some 1.7 hours of CPU
    python -m benchmarks.evidence photos --seeds 1 --sets cells --counts 10
    python -m benchmarks.evidence photos --seeds 0        only the page

Each result is a line of benchmarks/photos.jsonl as it comes, and none of those is computed again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import zoo_core as zoo
from benchmarks import reading
from benchmarks.kept_lines import add, facts, measure
from benchmarks.page_parts import put
from benchmarks.picture_sets import SETS
from zoo_core.data.pictures import Pictures
from zoo_core.training.solving.solve import solve
from zoo_efficientnet_lite.pooled import balanced, pooled

MODEL = "efficientnet_lite0"
FOUND = Path(__file__).with_name("photos.jsonl")
COUNTS = (10, 50, 200)
SEEDS = 5
LAST = "block6"
SOLVED = ("head", "keep")
ARMS = ("scratch", *SOLVED, "last", "all")
EPOCHS = ((40, 20), (160, 12), (640, 8))  # of up to so many pictures, so many epochs; of more:
FEWEST = 4


@dataclass(frozen=True)
class Job:
    """One set, one number of pictures per class, one seed, and one way."""

    set: str
    count: int
    seed: int
    arm: str


def main(page: Path, words: Sequence[str]) -> None:
    asked = _arguments(words)
    jobs = [
        Job(name, count, seed, arm)
        for seed, name in itertools.product(range(asked.seeds), asked.sets)
        for count, arm in itertools.product(SETS[name].counts, ARMS)
        if count in asked.counts
    ]
    measure_all(jobs, measured, FOUND)
    put(page, "photos", reading.section(results(), __doc__ or ""))


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.evidence photos")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--counts", nargs="+", type=int, choices=COUNTS, default=COUNTS)
    return parser.parse_args(words)


def measure_all(
    wanted: Sequence[Job], measured: Callable[[Job], tuple[Job, float, str, float]], path: Path
) -> None:
    """What is not in the file yet, in processes of their own; each result is kept as it comes."""
    there = results(path)

    def kept(result: tuple[Job, float, str, float]) -> str:
        job, score, stage, seconds = result
        keep(job, score, stage, seconds, path)
        return f"{job.set}, {job.count} a class, seed {job.seed}, {job.arm}: {score:.1%}"

    measure([job for job in wanted if job not in there], measured, kept)


# --- what there is -------------------------------------------------------------------------------


def results(path: Path = FOUND) -> dict[Job, dict[str, Any]]:
    """What was measured, by job: balanced accuracy in [0, 1], the stage kept, CPU seconds."""
    return {Job(**fact.pop("job")): fact for fact in facts(path)}


def keep(job: Job, score: float, stage: str, seconds: float, path: Path = FOUND) -> None:
    """Add a result to the file."""
    fact = {"accuracy": score, "stage": stage, "seconds": round(seconds, 1)}
    add({"job": asdict(job), **fact}, path)


# --- a result ------------------------------------------------------------------------------------


def measured(job: Job) -> tuple[Job, float, str, float]:
    """The balanced accuracy of one job, the stage that was kept until, and its CPU seconds."""
    start = time.process_time()
    train, test = SETS[job.set].split(job.count, job.seed)
    if job.arm in SOLVED:
        score, stage = _solved(job, train, test)
    else:
        score, stage = _trained(job, train, test), ""
    return job, score, stage, time.process_time() - start


def network(job: Job, *, pretrained: bool = True) -> zoo.ZooModel:
    """The network, for pictures of the size that the set is seen in."""
    return zoo.create(MODEL, pretrained=pretrained, img_size=SETS[job.set].size)


def epochs(pictures: int) -> int:
    """How often a training sees each of so many pictures: fewer ones oftener."""
    return next((epochs for most, epochs in EPOCHS if pictures <= most), FEWEST)


def _solved(job: Job, train: Pictures, test: Pictures) -> tuple[float, str]:
    both = _features(job.set, job.count, job.seed)
    targets, truth = train.target_tensor(), test.target_tensor()
    stages = ["head"] if job.arm == "head" else [s for s in both[0] if s not in ("pool", "head")]
    solutions = {
        stage: solve(both[0][stage], targets, classes=train.num_classes) for stage in stages
    }
    best = min(stages, key=lambda stage: solutions[stage].left_out.loss)
    scores = both[1][best].double() @ solutions[best].weight.T + solutions[best].bias
    return balanced(scores, truth), best


@functools.lru_cache(2)
def _features(name: str, count: int, seed: int) -> tuple[Any, Any]:
    """What enters each stage, for the pictures to train with and to test on."""
    model = network(Job(name, count, seed, "head"))
    train, test = SETS[name].split(count, seed)
    return pooled(model, train), pooled(model, test)


def _trained(job: Job, train: Pictures, test: Pictures) -> float:
    torch.manual_seed(job.seed)
    model = network(job, pretrained=job.arm != "scratch")
    model.reset_head(train.num_classes, labels=train.classes)
    zoo.finetune(
        model,
        train,
        val=False,
        epochs=epochs(len(train)),
        batch_size=16,
        lr=1e-3 if job.arm == "scratch" else 3e-4,
        freeze_until=LAST if job.arm == "last" else None,
        augment=True,
        head="random",
        seed=job.seed,
        out=False,
        progress=False,
    )
    return statistics.mean(zoo.evaluate(model, test, progress=False)["per_class"].values())
