"""Each regularizer against none, on real pictures: what pays, and what does not.

LeNet-5 from scratch on 1,000 pictures of Fashion-MNIST, tested on its 10,000 test pictures; and
LeNet-5 from MNIST on 20 digits a class of another scanner, all of it trained, tested on 797.
Default strengths, five seeds: a seed draws pictures, weights and order, the same for every arm, so
that differences are paired. The last weights count; only early stopping looks at a validation, of a
fifth of its pictures. Those that stay near a pretrained start have none in the first task.
Stochastic depth needs residual blocks: a ResNet-18 with and without it, for fewer epochs, and with
a rate that falls to zero: after few steps at a full one its last weights are a matter of luck.

    python -m benchmarks.evidence            about 25 minutes on 2 cores; writes docs/evidence.md

Three other parts of that page have commands of their own, on real pictures:

    python -m benchmarks.evidence boundaries     where to cut: see benchmarks/boundaries.py
    python -m benchmarks.evidence photos         what to train: see benchmarks/photos.py
    python -m benchmarks.evidence views          fixed views or fresh: see benchmarks/views.py
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import zoo_core as zoo
from benchmarks import boundaries, photos, views
from benchmarks.__main__ import machine
from benchmarks.page_parts import put
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import per_class
from zoo_core.plugins.catalogue import catalogue
from zoo_core.progress import Bar
from zoo_lenet.workers import workers

PAGE = Path(__file__).parent.parent / "docs" / "evidence.md"
PLOT = PAGE.with_name("evidence.png")
FASHION = "idx:/usr/share/datasets/fashion-mnist"  # Debian's dataset-fashion-mnist
SEEDS = range(5)
# Steps of 50 pictures are few here: a mean over the last weights, and an average that moves faster.
INSTEAD = {
    "swa": "swa:start=200,every=10",
    "ema": "ema=0.99",
    "r-drop": "dropout + r-drop",
    "early-stopping": "early-stopping=5",
}


@dataclass(frozen=True)
class Task:
    """What is trained on what, and for how long."""

    title: str
    model: str
    pretrained: bool
    train: str
    test: str
    per_class: int
    epochs: int
    batch: int
    lr_schedule: str = "constant"


TASKS = {
    "fashion": Task(
        "1,000 of Fashion-MNIST, from scratch", "lenet5", False,
        f"{FASHION}#train", f"{FASHION}#test", 100, 40, 50,
    ),
    "digits": Task(
        "200 digits, from MNIST", "lenet5", True, "digits#train", "digits#test", 20, 75, 50
    ),
    "residual": Task(
        "1,000 of Fashion-MNIST, ResNet-18 from scratch", "resnet18", False,
        f"{FASHION}#train", f"{FASHION}#test", 100, 8, 50, "cosine",
    ),
}  # fmt: skip


def arms(task: str) -> list[str]:
    """None, then each by name, as it is given to finetune."""
    if task == "residual":
        return ["none", "stochastic-depth"]
    without = {"stochastic-depth"} | ({"l2-sp", "feature-delta"} if task == "fashion" else set())
    names = [name for name in catalogue().regularizers() if name not in without]
    return ["none", *(INSTEAD.get(name, name) for name in names)]


def main() -> None:
    jobs = [job for task in TASKS for job in itertools.product([task], arms(task), SEEDS)]
    scores: dict[str, dict[str, list[float]]] = {task: {} for task in TASKS}
    with workers() as pool, Bar(f"{len(jobs)} trainings", total=len(jobs), shown=True) as bar:
        found = pool.map(accuracy, *zip(*jobs, strict=True))
        for (task, arm, seed), score in zip(jobs, found, strict=True):
            scores[task].setdefault(arm, []).append(100 * score)
            bar.step(f"{task}, {arm}, seed {seed}: {100 * score:.1f}%")
    draw({TASKS[task].title: scores[task] for task in ("fashion", "digits")})
    put(PAGE, "regularizers", page(scores))
    print(page(scores))


@functools.cache
def prepared(spec: str, model: str) -> Pictures:
    """The pictures as tensors, preprocessed once for all arms that a process trains."""
    pictures = open_data(spec)
    transform = fresh(model, False).transform()
    tensors = [transform(pictures.read(i)) for i in range(len(pictures))]
    return Pictures(pictures.name, tensors.__getitem__, pictures.targets, pictures.classes)


def fresh(model: str, pretrained: bool) -> zoo.ZooModel:
    made = zoo.create(model, pretrained=pretrained, num_classes=10, in_chans=1)
    if model != "lenet5":
        made.input = replace(made.input, size=(1, 32, 32), crop=1.0)
    return made


def accuracy(name: str, arm: str, seed: int) -> float:
    """The share of test pictures that one arm gets right."""
    task = TASKS[name]
    train, test = prepared(task.train, task.model), prepared(task.test, task.model)
    chosen = train.subset(per_class(train.targets, task.per_class, seed=seed))
    torch.manual_seed(seed)
    model = fresh(task.model, task.pretrained)
    model.reset_head(10, labels=train.classes)
    zoo.finetune(
        model,
        chosen,
        val=None if arm.startswith("early-stopping") else False,
        epochs=task.epochs,
        batch_size=task.batch,
        lr_schedule=task.lr_schedule,
        regularizers=[] if arm == "none" else arm.split(" + "),
        seed=seed,
        out=False,
        progress=False,
    )
    return zoo.evaluate(model, test, progress=False)["accuracy"]


# --- the page ------------------------------------------------------------------------------------


def page(scores: dict[str, dict[str, list[float]]]) -> str:
    doc = " ".join((__doc__ or "").split("\n\n")[1].split())
    reading = (
        "Right of the test pictures in percent: mean and standard deviation over seeds; the paired "
        "difference to none, with its standard error. In bold: more than twice the standard error "
        f"from zero. Defaults are not tuned to these tasks, and {len(SEEDS)} seeds are few."
    )
    parts = [
        "# What each regularizer brings",
        f"`python -m benchmarks.evidence` writes this page. {doc}",
        reading,
        machine(),
        "![Paired differences](evidence.png)",
    ]
    for name, task in TASKS.items():
        parts += [f"## {task.title}", table(scores[name])]
    return "\n\n".join(parts) + "\n"


def table(arms: dict[str, list[float]]) -> str:
    lines = ["| regularizers | mean | sd | against none |", "|---|---|---|---|"]
    rows = sorted(arms.items(), key=lambda item: -statistics.mean(item[1]))
    for arm, own in rows:
        mean, sd = statistics.mean(own), statistics.stdev(own)
        gain, error = difference(own, arms["none"])
        told = f"{gain:+.2f} ± {error:.2f}"
        told = f"**{told}**" if abs(gain) > 2 * error else told
        lines.append(f"| {arm} | {mean:.2f} | {sd:.2f} | {'' if arm == 'none' else told} |")
    return "\n".join(lines)


def difference(own: Sequence[float], none: Sequence[float]) -> tuple[float, float]:
    """Mean of the paired differences, and its standard error."""
    pairs = [a - b for a, b in zip(own, none, strict=True)]
    return statistics.mean(pairs), statistics.stdev(pairs) / math.sqrt(len(pairs))


def draw(tasks: dict[str, dict[str, list[float]]]) -> None:
    """The paired differences of each task, sorted, with two standard errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, found) in zip(figure.subplots(1, len(tasks)), tasks.items(), strict=True):
        gains = {arm: difference(own, found["none"]) for arm, own in found.items() if arm != "none"}
        names = sorted(gains, key=lambda arm: gains[arm][0])
        means, errors = ([gains[arm][i] for arm in names] for i in (0, 1))
        colors = ["tab:blue" if mean >= 0 else "tab:orange" for mean in means]
        axes.barh(names, means, xerr=[2 * e for e in errors], color=colors, ecolor="0.4", capsize=2)
        axes.axvline(0, color="0.2", linewidth=0.8)
        axes.set(title=title, xlabel="points of accuracy against none")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, dpi=110)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["boundaries"]:
            boundaries.main(PAGE)
        case ["photos", *words]:
            photos.main(PAGE, words)
        case ["views", *words]:
            views.main(PAGE, words)
        case words:
            sys.exit(
                f"No part {words[0]}. There are boundaries, photos, views; the first has no name."
            )
