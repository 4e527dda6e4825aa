"""How far back to train, by pictures a class: LeNet-5 on digits that it knows a little, or not.

Near: from MNIST to the digits of another scanner. Far: from clothes (Fashion-MNIST) to MNIST. Of
each class some pictures are drawn by seed, the same for every way: the last layers are trained from
a stage on, beginning with a solved head, or all from scratch. A training sees 15,000 pictures, each
at least 10 and at most 100 times; without augmentation or validation, AdamW at 0.001. Tested on 797
digits, and on 1,000 of MNIST.

    python -m benchmarks.how_far_back        what is not there yet, some 10 minutes of CPU

Each result is a line of benchmarks/how_far_back.jsonl as it comes; their means over the seeds are
written into the tables of docs/chapter/how-far-back.md, between the quotes of their cells.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import zoo_core as zoo
from benchmarks.evidence import prepared
from benchmarks.kept_lines import add, facts, measure
from zoo_core.data.splitting import per_class

PAGE = Path(__file__).parent.parent / "docs" / "chapter" / "how-far-back.md"
FOUND = Path(__file__).with_name("how_far_back.jsonl")
SEEDS = range(3)
WAYS = ("scratch", "head", "fc2", "fc1", "conv2", "conv1")  # the stage from which on all trains
SEEN, FEWEST, MOST = 15_000, 10, 100


@dataclass(frozen=True)
class Task:
    """Weights to start from, pictures to train with and to test on, and how many of each class."""

    weights: str
    train: str
    test: str
    counts: tuple[int, ...]


TASKS = {
    "near": Task("mnist5k", "digits#train", "digits#test", (5, 10, 20, 50)),
    "far": Task("fashion_mnist", "mnist5k#train", "mnist5k#test", (5, 10, 20, 50, 100, 200)),
}


@dataclass(frozen=True)
class Job:
    task: str
    count: int
    seed: int
    way: str


def main() -> None:
    wanted = [
        Job(name, count, seed, way)
        for seed, (name, task) in itertools.product(SEEDS, TASKS.items())
        for count, way in itertools.product(task.counts, WAYS)
    ]
    there = results()
    measure([job for job in wanted if job not in there], measured, kept)
    text, found = PAGE.read_text(encoding="utf-8"), results()
    for name in TASKS:
        text = put(text, name, "\n".join(table(name, found)))
    PAGE.write_text(text, encoding="utf-8")


def results(path: Path = FOUND) -> dict[Job, float]:
    """What was measured: accuracy in [0, 1], by job."""
    return {Job(**fact["job"]): fact["accuracy"] for fact in facts(path)}


def kept(result: tuple[Job, float]) -> str:
    job, accuracy = result
    add({"job": asdict(job), "accuracy": accuracy}, FOUND)
    return f"{job.task}, {job.count} a class, seed {job.seed}, {job.way}: {accuracy:.1%}"


def measured(job: Job) -> tuple[Job, float]:
    """The share of test pictures that one training gets right."""
    task, scratch = TASKS[job.task], job.way == "scratch"
    train, test = prepared(task.train, "lenet5"), prepared(task.test, "lenet5")
    chosen = train.subset(per_class(train.targets, job.count, seed=job.seed))
    torch.manual_seed(job.seed)
    model = zoo.create("lenet5", pretrained=False if scratch else task.weights)
    model.reset_head(train.num_classes, labels=train.classes)
    zoo.finetune(
        model,
        chosen,
        val=False,
        epochs=min(max(SEEN // len(chosen), FEWEST), MOST),
        batch_size=50,
        freeze_until=None if scratch else job.way,
        augment=False,
        head="random" if scratch else "ridge",
        seed=job.seed,
        out=False,
        progress=False,
    )
    return job, zoo.evaluate(model, test, progress=False)["accuracy"]


def table(name: str, found: dict[Job, float]) -> Iterator[str]:
    """Percent right, mean over the seeds: a line for each number of pictures a class."""
    yield f"a class {' '.join(f'{way:>7}' for way in WAYS)}"
    for count in TASKS[name].counts:
        means = [
            statistics.mean(found[Job(name, count, seed, way)] for seed in SEEDS) for way in WAYS
        ]
        yield f"{count:>7} {' '.join(f'{100 * mean:>7.1f}' for mean in means)}"


def put(text: str, name: str, lines: str) -> str:
    """The page with a table in the place of the one that `name` has."""
    return re.sub(rf'(?<=^{name} = """\\\n).*?(?=\n""")', lambda _: lines, text, flags=re.M | re.S)


if __name__ == "__main__":
    main()
