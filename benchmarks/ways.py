"""What every way to use a network comes to: trained in full on some pictures, tested on others.

All of the pictures are trained on, for as long as was set before. A fifth of few, held out to stop
by, is missed where there are few, and tells so little that what a way comes to would be noisy. It
is what advise() is judged by, so nothing that advise() is tuned by goes into it, and it is computed
once: each question is a line of benchmarks/ways.jsonl as it comes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import zoo_core as zoo
from benchmarks.kept_lines import add, facts
from benchmarks.tasks import task
from zoo_core.advice.arms import Arm, arguments, arms_of
from zoo_core.advice.beginning import beginning
from zoo_core.advice.evidence import gathered
from zoo_core.advice.halving import LONGER, first_epochs
from zoo_core.cache import using_cache
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import indices_by_class

FOUND = Path(__file__).with_name("ways.jsonl")
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5": {},
    "lenet5.fashion_mnist": {},
    "efficientnet_lite0": {"img_size": 64},
    "efficientnet_lite1": {"img_size": 64},
    "efficientnet_lite2": {"img_size": 64},
}
# How many times the shortest training "in full" is; that of an EfficientNet is minutes as it is.
FULL = {"lenet5": LONGER**3, "efficientnet": LONGER**2}


@dataclass(frozen=True)
class Question:
    """A network and so many pictures a class of a task, drawn by seed."""

    task: str
    network: str
    count: int
    seed: int


def ways(path: Path = FOUND) -> dict[Question, dict[str, Any]]:
    """What was measured: the accuracy and the CPU seconds of each way, by its name."""
    return {Question(**fact.pop("question")): fact for fact in facts(path)}


def kept(result: tuple[Question, Mapping[str, Any]], path: Path = FOUND) -> str:
    """Keep what the ways of a question come to, and say it in a line."""
    question, found = result
    add({"question": asdict(question), **found}, path)
    name, (accuracy, _) = max(found["ways"].items(), key=lambda pair: pair[1][0])
    return (f"{question.task}, {question.count} a class, {question.network}, seed "
            f"{question.seed}: {name}, {accuracy:.1%}")  # fmt: skip


def measured(question: Question) -> tuple[Question, dict[str, Any]]:
    """Train every way in full, on one thread, and test it; what rank() says of the network."""
    train, test = parts(question)
    model = network(question)
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        start = time.process_time()
        ranked = zoo.rank(train, [model], seed=question.seed, progress=False).rows[0]
        found = {arm.name: in_full(arm, train, test, question) for arm in arms(model, train)}
        seconds = time.process_time() - start
    return question, {
        "classes": train.num_classes, "train": len(train), "test": len(test),
        "left_out": {key: round(ranked[key], 4) for key in ("accuracy", "loss", "knn", "logme")},
        "ways": {name: [round(a, 4), round(s, 2)] for name, (a, s) in found.items()},
        "seconds": round(seconds, 1),
    }  # fmt: skip


def network(question: Question) -> zoo.ZooModel:
    return zoo.create(question.network, pretrained=True, **NETWORKS[question.network])


def parts(question: Question) -> tuple[Pictures, Pictures]:
    """So many of each class, or as many as there are, and the test part."""
    train, test = task(question.task).parts(question.seed)
    if question.count < max(Counter(train.targets).values()):
        chosen = [
            index
            for own in indices_by_class(train.targets).values()
            for index in _drawn(own, question.count, question.seed)
        ]
        train = train.subset(sorted(chosen))
    return train, test


def _drawn(indices: Sequence[int], count: int, seed: int) -> list[int]:
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed)).tolist()
    return [indices[i] for i in order[:count]]


def arms(model: zoo.ZooModel, train: Pictures) -> list[Arm]:
    """The ways that advise() has."""
    network, start = beginning(model)
    return arms_of(start, network, gathered(network, train, 0, progress=False))


def in_full(arm: Arm, train: Pictures, test: Pictures, question: Question) -> tuple[float, float]:
    """The balanced accuracy of a way on the test part, and CPU seconds of its training.

    Classes count alike: as many of each were drawn to train with, however many there are to test.
    """
    start = time.process_time()
    full = next(times for name, times in FULL.items() if question.network.startswith(name))
    how = arguments(arm, full * first_epochs(len(train)), len(train), question.seed)
    run = zoo.finetune(arm.model, train, val=False, out=False, progress=False, workers=0, **how)
    seconds = time.process_time() - start
    recalls = zoo.evaluate(run.model, test, progress=False)["per_class"].values()
    return statistics.mean(recalls), seconds
