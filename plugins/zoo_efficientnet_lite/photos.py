"""Real photographs: EfficientNet-Lite0 goes from ImageNet to solar cells, nothing like it.

Four ways of using it, by pictures per class: from scratch; its head alone; `keep_until`, the first
half with a head of its own; and its last stages trained, too. Heads alone are solved in closed form
on what enters them, which one pass over the pictures gives for all of them, so each is the mean of
several draws. From scratch it sees smaller pictures, as many times: that is what two cores can do.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import statistics
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from torch import Tensor

import zoo_core as zoo
from zoo_core.data import Pictures, open_data, per_class
from zoo_core.progress import Bar
from zoo_core.terminal.lines import logger
from zoo_core.training.solving.solve import solve
from zoo_efficientnet_lite.pooled import balanced, pooled
from zoo_efficientnet_lite.reading import Row, sentence
from zoo_lenet.results import draw
from zoo_lenet.workers import begin, cores

MODEL = "efficientnet_lite0"
DATA = "elpv"
MIDDLE = "block5"  # keep_until
LAST = "block6"  # freeze_until
SMALL = 96  # pixels a side, from scratch
CHUNK = 40  # pictures of one job
ARMS = {
    "scratch": f"from scratch, {SMALL} pixels",
    "head": "head alone",
    "keep": f"keep_until {MIDDLE}",
    "deeper": f"from {LAST} on",
}


@dataclass(frozen=True)
class Plan:
    """How much is tried.

    `epochs`: by pictures per class, of what is trained step by step. `draws`: of what is solved in
    closed form. `test`: how many pictures of the test part.
    """

    epochs: dict[int, int]
    draws: int = 5
    test: int = 400


PLAN = Plan({10: 20, 50: 10, 200: 6})


@dataclass(frozen=True)
class Result:
    """What the demo found: rows, what they say, and the folder with the picture and a run."""

    rows: list[Row]
    sentence: str
    folder: Path


def run_demo(folder: Path, *, plan: Plan = PLAN, progress: bool = True) -> Result:
    """Try every arm for every number of pictures, and write what comes out.

    `folder` gets the table, the picture and a run. Raises DataError or WeightsError where a package
    is missing, and RecipeError where the folder is there already or cannot be made.
    """
    open_data(DATA, progress=False)
    zoo.create(MODEL, pretrained=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}."
        raise zoo.RecipeError(message, hint="Choose a new folder.") from error
    rows = _rows(plan, folder, progress=progress)
    table = json.dumps([row.facts() for row in rows], indent=1)
    (folder / "table.json").write_text(table + "\n", encoding="utf-8")
    title = "EfficientNet-Lite0 from ImageNet to photographs of solar cells"
    facts = [row.facts() | {"arm": ARMS[row.arm], "sd": row.sd or 0.0} for row in rows]
    draw(
        facts, folder / "accuracy.png", title=title, y="balanced accuracy (%)", grey=ARMS["scratch"]
    )
    return Result(rows, sentence(rows), folder)


def _rows(plan: Plan, folder: Path, *, progress: bool) -> list[Row]:
    counts = sorted(plan.epochs, reverse=True)  # the longest first, so that all cores end together
    chunks = [(part, at) for part in ("train", "test") for at in range(0, _size(plan, part), CHUNK)]
    trained = list(itertools.product(counts, ("deeper", "scratch")))
    epochs = 2 * sum(plan.epochs.values()) + RUN_EPOCHS
    steps = epochs + len(chunks) + len(trained) + 1
    with _workers() as (pool, told), Bar("pictures and epochs", total=steps, shown=progress) as bar:
        jobs = {job: pool.submit(accuracy, plan, *job) for job in trained[:2]}
        features = [pool.submit(features_of, plan, *chunk) for chunk in chunks]
        jobs |= {job: pool.submit(accuracy, plan, *job) for job in trained[2:]}
        run = pool.submit(leave_a_run, min(50, counts[0]), folder / "run")

        def tell(future: Future[Any]) -> None:
            for (count, arm), job in jobs.items():
                if job is future and not job.exception():
                    bar.line(f"{count} per class, {ARMS[arm]}: {100 * job.result():.1f}%")

        _follow([*features, *jobs.values(), run], told, bar, tell)
        run.result()
        scores = {job: [100 * future.result()] for job, future in jobs.items()}
        found = [future.result() for future in features]
    scores |= _solved(plan, _joined(chunks, found))
    return [Row.of(count, arm, scores[count, arm]) for count in plan.epochs for arm in ARMS]


# --- pictures ------------------------------------------------------------------------------------


@functools.cache
def _pictures(part: str, count: int) -> Pictures:
    """Of the training part, so many of each class; of the test part, so many in all."""
    pictures = open_data(f"{DATA}#{part}", progress=False)
    if part == "train":
        return pictures.subset(per_class(pictures.targets, count, seed=0))
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    return pictures.subset(sorted(order[:count].tolist()))


def _part(plan: Plan, part: str) -> Pictures:
    return _pictures(part, max(plan.epochs) if part == "train" else plan.test)


def _size(plan: Plan, part: str) -> int:
    return len(_part(plan, part))


def _drawn(plan: Plan, count: int, seed: int) -> list[int]:
    """Indices in what is trained on: `count` of each class."""
    return per_class(_part(plan, "train").targets, count, seed=seed)


# --- what is solved in closed form ---------------------------------------------------------------


def features_of(plan: Plan, part: str, start: int) -> dict[str, Tensor]:
    """What enters the middle stage and the head, of the pictures of one job."""
    pictures = _part(plan, part)
    chosen = pictures.subset(range(start, min(start + CHUNK, len(pictures))))
    found = pooled(_network(), chosen)
    return {"keep": found[MIDDLE], "head": found["head"]}


@functools.cache
def _network() -> zoo.ZooModel:
    return zoo.create(MODEL, pretrained=True)


def _joined(
    chunks: Iterable[tuple[str, int]], found: list[dict[str, Tensor]]
) -> dict[tuple[str, str], Tensor]:
    """Features by part and arm."""
    joined: dict[tuple[str, str], list[Tensor]] = {}
    for (part, _), features in zip(chunks, found, strict=True):
        for arm, x in features.items():
            joined.setdefault((part, arm), []).append(x)
    return {key: torch.cat(parts) for key, parts in joined.items()}


def _solved(
    plan: Plan, features: dict[tuple[str, str], Tensor]
) -> dict[tuple[int, str], list[float]]:
    """The balanced accuracy in percent of both solved heads, for each number, of several draws."""
    targets, truth = (_part(plan, part).target_tensor() for part in ("train", "test"))
    classes = _part(plan, "train").num_classes
    scores: dict[tuple[int, str], list[float]] = {}
    for count, arm, seed in itertools.product(plan.epochs, ("head", "keep"), range(plan.draws)):
        chosen = _drawn(plan, count, seed)
        solution = solve(features["train", arm][chosen], targets[chosen], classes=classes)
        found = features["test", arm].double() @ solution.weight.T + solution.bias
        scores.setdefault((count, arm), []).append(100 * balanced(found, truth))
    return {key: own[:1] if key[0] == max(plan.epochs) else own for key, own in scores.items()}


# --- what is trained step by step ----------------------------------------------------------------


def accuracy(plan: Plan, count: int, arm: str) -> float:
    """The balanced accuracy of one arm, trained on `count` pictures a class."""
    train, test = _part(plan, "train"), _part(plan, "test")
    scratch = arm == "scratch"
    torch.manual_seed(0)
    size: dict[str, Any] = {"img_size": SMALL} if scratch else {}
    model = zoo.create(MODEL, pretrained=not scratch, **size)
    model.reset_head(train.num_classes, labels=train.classes)
    zoo.finetune(
        model,
        train.subset(_drawn(plan, count, 0)),
        val=False,
        epochs=plan.epochs[count],
        batch_size=16,
        lr=1e-3 if scratch else 3e-4,
        freeze_until=None if scratch else LAST,
        augment=False,
        head="random",
        out=False,
        progress=False,
    )
    found = zoo.evaluate(model, test, progress=False)["per_class"]
    return statistics.mean(found.values())


RUN_EPOCHS = 5


def leave_a_run(count: int, folder: Path) -> None:
    """The first half with a head of its own, as a folder to look at and to predict with."""
    cells = open_data(f"{DATA}#train", progress=False)
    model = zoo.create(MODEL, pretrained=True, keep_until=MIDDLE, freeze_until="head")
    chosen = cells.subset(per_class(cells.targets, count, seed=0))
    model.reset_head(cells.num_classes, labels=cells.classes)
    how: Any = {"epochs": RUN_EPOCHS, "lr": 1e-4, "head": "ridge"}
    zoo.finetune(model, chosen, out=folder, progress=False, **how)


# --- processes -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _workers() -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """A process of one thread for each core, and the queue on which they tell of each epoch."""
    spawn = get_context("spawn")
    told = spawn.Queue()
    with ProcessPoolExecutor(cores(), spawn, _begin, (told,)) as pool:
        try:
            yield pool, told
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(told: Any) -> None:
    begin()
    log = logger("zoo_core")
    log.setLevel(logging.INFO)
    log.addHandler(_Epochs(told))
    log.propagate = False


class _Epochs(logging.Handler):
    """Tells of each epoch, which a training that shows nothing has recorded."""

    def __init__(self, told: Any) -> None:
        super().__init__()
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("epoch"):
            self.told.put(" ".join(text.split()))


def _follow(
    futures: list[Future[Any]], told: Any, bar: Bar, tell: Callable[[Future[Any]], None]
) -> None:
    """Step the bar by epochs and by jobs that are done; raise what one of them raised."""
    waiting = set(futures)
    while waiting:
        with contextlib.suppress(Empty):
            bar.step(told.get(timeout=0.2))
        for future in [future for future in waiting if future.done()]:
            waiting.remove(future)
            future.result()
            bar.step()
            tell(future)
