"""The chapter in one table: LeNet-5 goes from MNIST to other people's digits from another scanner.

Few pictures per class want most of the network kept as it was; more of them pay for retraining
deeper; starting from scratch loses throughout.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import zoo_core as zoo
from zoo_core.data import Pictures, open_data, per_class
from zoo_core.progress import Bar
from zoo_lenet.results import draw
from zoo_lenet.workers import workers

MODEL = "lenet5"
PER_CLASS = (5, 10, 20, 50)
SEEDS = (0, 1, 2)
STEPS = 300
BATCH = 64


@dataclass(frozen=True)
class Result:
    """What the demo found.

    `rows`: {per_class, arm, mean, sd} in percent. `sentence`: what they say. `folder`: it has the
    picture and a run.
    """

    rows: list[dict[str, Any]]
    sentence: str
    folder: Path


def arms() -> list[str]:
    """From scratch; head only; frozen until each stage, from the last to the second; everything."""
    stages = list(zoo.create(MODEL).chain)
    return ["scratch", *reversed(stages[1:]), "all"]


def run_demo(folder: Path, *, progress: bool = True) -> Result:
    """Run every arm for every number of pictures and every seed, and write what comes out.

    `folder` gets the table, the picture and a run. Raises RecipeError where it is there already or
    cannot be made.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}."
        raise zoo.RecipeError(message, hint="Choose a new folder.") from error
    names = arms()
    jobs = list(itertools.product(PER_CLASS, names, SEEDS))
    scores: dict[tuple[int, str], list[float]] = {}
    with workers() as pool, Bar(f"{len(jobs)} fine-tunes", total=len(jobs), shown=progress) as bar:
        left = pool.submit(leave_a_run, folder / "run")
        accuracies = pool.map(accuracy, *zip(*jobs, strict=True))
        for (count, arm, _), score in zip(jobs, accuracies, strict=True):
            scores.setdefault((count, arm), []).append(100 * score)
            bar.step(f"{count} per class, {arm}: {100 * score:.1f}%")
        left.result()
    rows = [_row(count, arm, own) for (count, arm), own in scores.items()]
    (folder / "table.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    named = [row | {"arm": _LEGEND.get(row["arm"], f"from {row['arm']} on")} for row in rows]
    title = "LeNet-5 from MNIST to other people's digits: what is trained"
    y = "right of 797 test pictures (%)"
    draw(named, folder / "accuracy.png", title=title, y=y, grey=_LEGEND["scratch"])
    return Result(rows, sentence(rows), folder)


def _row(count: int, arm: str, scores: list[float]) -> dict[str, Any]:
    mean, sd = statistics.mean(scores), statistics.stdev(scores)
    return {"per_class": count, "arm": arm, "mean": round(mean, 2), "sd": round(sd, 2)}


@functools.cache
def prepared(spec: str) -> Pictures:
    """The pictures as tensors, preprocessed once for all arms that a process trains."""
    pictures = open_data(spec)
    transform = zoo.create(MODEL, pretrained=True).transform()
    tensors = [transform(pictures.read(i)) for i in range(len(pictures))]
    return Pictures(pictures.name, tensors.__getitem__, pictures.targets, pictures.classes)


def accuracy(count: int, arm: str, seed: int) -> float:
    """The share of test pictures that one arm gets right, trained on `count` pictures a class."""
    train, test = prepared("digits#train"), prepared("digits#test")
    chosen = train.subset(per_class(train.targets, count, seed=seed))
    torch.manual_seed(seed)
    model = zoo.create(MODEL, pretrained=arm != "scratch")
    model.reset_head(10, labels=train.classes)
    zoo.finetune(
        model,
        chosen,
        val=False,
        epochs=math.ceil(STEPS / math.ceil(len(chosen) / BATCH)),
        batch_size=BATCH,
        freeze_until=None if arm in ("scratch", "all") else arm,
        head="random",  # solved in closed form, the head alone would not be trained as the others
        seed=seed,
        out=False,
        progress=False,
    )
    return zoo.evaluate(model, test, progress=False)["accuracy"]


def leave_a_run(folder: Path) -> None:
    """A small fine-tune as a folder, to be looked at and to predict with."""
    digits = open_data("digits#train")
    chosen = digits.subset(per_class(digits.targets, 20, seed=0))
    zoo.finetune(MODEL, chosen, freeze_until="head", epochs=20, out=folder, progress=False)


def sentence(rows: Sequence[dict[str, Any]]) -> str:
    """What the table says, from its own numbers."""
    few, many = PER_CLASS[0], PER_CLASS[-1]
    table = {(row["per_class"], row["arm"]): row["mean"] for row in rows}
    head, scratch = table[few, "head"], table[few, "scratch"]
    best = max((row for row in rows if row["per_class"] == many), key=lambda row: row["mean"])
    deeper = "everything" if best["arm"] == "all" else f"from {best['arm']} on"
    keeping = f"keeping what MNIST taught and training the head alone gets {head:.1f}% right"
    gain = f"{head - scratch:.1f} points more than starting from scratch ({scratch:.1f}%)"
    training = f"training {deeper} gets {best['mean']:.1f}%"
    alone = f"the head alone {table[many, 'head']:.1f}%"
    more = f"with {many} per class it pays to go deeper: {training}, {alone}"
    if best["arm"] == "head":
        more = f"with {many} per class the head alone is still best: {best['mean']:.1f}%"
    return f"With {few} pictures per class, {keeping}, {gain}; {more}."


_LEGEND = {"scratch": "from scratch", "all": "everything", "head": "head only"}
