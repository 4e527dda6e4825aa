"""Whether advise() and rank() advise well: against every way trained in full, on held-out tasks.

Each question is asked of some pictures of a task: a number of each class, by seed. advise() may
take a quarter of the time that all its ways take in full, as far as that can be foretold; then each
way trains on all of these pictures for 27 times the shortest training, a fifth of them validating,
and is tested on pictures that nobody saw. Regret: the accuracy of the best way minus that of the
advised one, in points. rank() names the network whose solved head is best by leaving out; regret is
that of its best way against the best of all networks. EfficientNets see 64 pixels a side, for time.

What is tuned is tuned on one half of benchmarks/tasks.py, and reported on the other.

    python -m benchmarks.advice                            what is not there yet of the report half
    python -m benchmarks.advice --half tune --networks lenet5 --counts 10 --seeds 1
    python -m benchmarks.advice --seeds 0                  only the page

Each answer is a line of benchmarks/advice.jsonl as it comes, and none of those is computed again.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import zoo_core as zoo
from benchmarks.kept_lines import add, facts, measure
from benchmarks.page_parts import put
from benchmarks.regret import section
from benchmarks.tasks import TASKS, task
from zoo_core.advice.arms import Arm, arguments, arms_of
from zoo_core.advice.beginning import beginning
from zoo_core.advice.evidence import gathered
from zoo_core.advice.halving import LONGER, first_epochs
from zoo_core.cache import using_cache
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import indices_by_class

FOUND = Path(__file__).with_name("advice.jsonl")
PAGE = Path(__file__).parent.parent / "docs" / "advice.md"
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5": {},
    "lenet5.fashion_mnist": {},
    "efficientnet_lite0": {"img_size": 64},
    "efficientnet_lite1": {"img_size": 64},
    "efficientnet_lite2": {"img_size": 64},
}
COUNTS, SEEDS = (10, 50, 200), 3
FULL = LONGER**3  # times the shortest training
SHARE = 0.25  # of the time of all ways in full, that advise() may take
FEWEST = 5  # seconds that it gets at least


@dataclass(frozen=True)
class Question:
    """A network and so many pictures a class of a task, drawn by seed."""

    task: str
    network: str
    count: int
    seed: int


def main(words: Sequence[str] | None = None) -> None:
    asked = _arguments(words)
    names = [one.name for one in TASKS if one.half == asked.half]
    there = answers()
    wanted = [
        Question(name, network, count, seed)
        for seed, count, name, network in itertools.product(
            range(asked.seeds), asked.counts, names, asked.networks
        )
    ]
    measure([question for question in wanted if question not in there], answered, kept)
    halves = {one.name: one.half for one in TASKS}
    measured = {q: a for q, a in answers().items() if halves[q.task] == "report"}
    text = section(measured, __doc__ or "", names=[*NETWORKS])
    put(PAGE, "measured", text)
    print(text)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.advice")
    parser.add_argument("--half", choices=("tune", "report"), default="report")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--counts", nargs="+", type=int, choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0")
    return parser.parse_args(words)


# --- what there is -------------------------------------------------------------------------------


def answers(path: Path = FOUND) -> dict[Question, dict[str, Any]]:
    """What was measured."""
    return {Question(**fact.pop("question")): fact for fact in facts(path)}


def keep(question: Question, answer: Mapping[str, Any], path: Path = FOUND) -> None:
    """Add an answer to the file."""
    add({"question": asdict(question), **answer}, path)


def kept(result: tuple[Question, Mapping[str, Any]]) -> str:
    """Keep an answer, and say it in a line."""
    question, answer = result
    keep(question, answer)
    return (f"{question.task}, {question.count} a class, {question.network}, seed "
            f"{question.seed}: {answer['advised']}")  # fmt: skip


# --- an answer -----------------------------------------------------------------------------------


def answered(question: Question) -> tuple[Question, dict[str, Any]]:
    """What rank() and advise() say, and what each way comes to; times are of the CPU."""
    train, test = parts(question)
    model = zoo.create(question.network, pretrained=True, **NETWORKS[question.network])
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        ways = arms(model, train, question.seed)
        ranked = zoo.rank(train, [model], seed=question.seed, progress=False).rows[0]
        tested = {arm.name: in_full(arm, train, test, question.seed) for arm in ways}
        room = max(SHARE * sum(seconds for _, seconds in tested.values()), FEWEST)
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        start = time.process_time()
        advice = zoo.advise(model, train, budget=room, seed=question.seed, progress=False)
        seconds = time.process_time() - start
    best = advice.best
    return question, {
        "classes": train.num_classes, "train": len(train), "advised": best["arm"],
        "expected": round(best["accuracy"], 4), "low": best["low"], "high": best["high"],
        "similarity": advice.similarity, "seconds": round(seconds, 2),
        "left_out": {key: round(ranked[key], 4) for key in ("accuracy", "loss", "knn", "logme")},
        "arms": {name: [round(a, 4), round(s, 2)] for name, (a, s) in tested.items()},
    }  # fmt: skip


def parts(question: Question) -> tuple[Pictures, Pictures]:
    """So many of each class, or as many as there are, and the test part."""
    train, test = task(question.task).parts()
    most = max(Counter(train.targets).values())
    if question.count < most:
        chosen = [
            index
            for own in indices_by_class(train.targets).values()
            for index in _drawn(own, question.count, question.seed)
        ]
        train = train.subset(sorted(chosen))
    return train, test


def _drawn(indices: Sequence[int], count: int, seed: int) -> list[int]:
    import torch

    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed)).tolist()
    return [indices[i] for i in order[:count]]


def arms(model: zoo.ZooModel, train: Pictures, seed: int) -> list[Arm]:
    """The ways that advise() has for all of these pictures."""
    network, start = beginning(model)
    return arms_of(start, network, gathered(network, train, seed, progress=False))


def in_full(arm: Arm, train: Pictures, test: Pictures, seed: int) -> tuple[float, float]:
    """The accuracy of a way on the test part, and CPU seconds of its training."""
    start = time.process_time()
    how = arguments(arm, FULL * first_epochs(len(train)), len(train), seed)
    run = zoo.finetune(arm.model, train, out=False, progress=False, workers=0, **how)
    seconds = time.process_time() - start
    return float(zoo.evaluate(run.model, test, progress=False)["accuracy"]), seconds


if __name__ == "__main__":
    main()
