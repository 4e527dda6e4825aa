"""Where to cut: solar cells by what enters each stage of EfficientNet-Lite0, with a solved head.

Every stage is a place where `keep_until` can end the network. One pass over the pictures gives what
enters each; a head is solved on it in closed form, five times, on other draws of the training part,
and tested on the 656 cells of the test part. Pictures are preprocessed as the weights want it. A
column is best by what it gets on the test part, which flatters it; so the page also has the stage
that the training pictures choose, by the log-loss of their leave-one-out scores.

    python -m benchmarks.evidence boundaries     4 minutes on 2 cores, then seconds
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import zoo_core as zoo
from benchmarks.page_parts import put
from zoo_core.cache import cache_folder
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import per_class
from zoo_core.progress import Bar
from zoo_core.training.solving.solve import solve
from zoo_efficientnet_lite.pooled import balanced, pooled

MODEL = "efficientnet_lite0"
COUNTS = {2: (10, 25, 50, 200), 4: (10, 25, 50)}  # by classes: the rarest of four has 80 cells
SEEDS = range(5)
CHOSEN = "chosen"
CHUNK = 64

Scores = dict[tuple[int, int, str], list[float]]  # classes, per class, stage: percent by seed


def main(page: Path) -> None:
    features = {part: stored(part) for part in ("train", "test")}
    scores: Scores = {}
    for classes, counts in COUNTS.items():
        for count, seed in itertools.product(counts, SEEDS):
            for stage, score in measured(features, classes, count, seed).items():
                scores.setdefault((classes, count, stage), []).append(100 * score)
    put(page, "boundaries", section(scores))
    print(section(scores))


def stored(part: str) -> Mapping[str, Tensor]:
    """What enters each stage, for all cells of a part; kept in zoo's cache."""
    path = cache_folder() / "evidence" / f"cells-{part}.{MODEL}.safetensors"
    if path.exists():
        return load_file(path)
    pictures, model = open_data(f"elpv#{part}"), zoo.create(MODEL, pretrained=True)
    found: dict[str, list[Tensor]] = {}
    with Bar(f"cells to {part} with", total=len(pictures), shown=True, unit="pictures") as bar:
        for start in range(0, len(pictures), CHUNK):
            chosen = pictures.subset(range(start, min(start + CHUNK, len(pictures))))
            for stage, x in pooled(model, chosen).items():
                found.setdefault(stage, []).append(x)
            bar.step(count=len(chosen))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({stage: torch.cat(parts) for stage, parts in found.items()}, path)
    return load_file(path)


def measured(
    features: Mapping[str, Mapping[str, Tensor]], classes: int, count: int, seed: int
) -> dict[str, float]:
    """Balanced accuracy by stage, and that of the one which the training pictures choose."""
    train, test = (cells(classes, part) for part in ("train", "test"))
    drawn = per_class(train.targets, count, seed=seed)
    targets, truth = train.target_tensor()[drawn], test.target_tensor()
    scores, losses = {}, {}
    for stage, x in features["train"].items():
        if stage == "pool":  # averaged it is what enters the head
            continue
        solution = solve(x[drawn], targets, classes=classes)
        found = features["test"][stage].double() @ solution.weight.T + solution.bias
        scores[stage], losses[stage] = balanced(found, truth), solution.left_out.loss
    return scores | {CHOSEN: scores[min(losses, key=lambda stage: losses[stage])]}


def cells(classes: int, part: str) -> Pictures:
    return open_data(f"elpv?classes={classes}#{part}", progress=False)


# --- the page ------------------------------------------------------------------------------------


def section(scores: Scores) -> str:
    doc = " ".join((__doc__ or "").split("\n\n")[1].split())
    told = (
        "Balanced accuracy in percent, mean and standard deviation of five draws. `head`: the "
        "network's own features, that is the whole network. "
    )
    parts = ["## Where to cut: solar cells", f"`python -m benchmarks.evidence boundaries`. {doc}"]
    parts += [told + reading(scores)]
    for classes in COUNTS:
        parts += [f"### {classes} classes", table(scores, classes)]
    return "\n\n".join(parts)


def reading(scores: Scores) -> str:
    """What the table says of 25 cells of two classes, and of the most."""
    few, many = 25, max(COUNTS[2])
    own = {stage: found for (c, n, stage), found in scores.items() if (c, n) == (2, few)}
    means = {stage: statistics.mean(found) for stage, found in own.items()}
    best = max((s for s in means if s != CHOSEN), key=lambda stage: means[stage])
    pairs = [a - b for a, b in zip(own[best], own["head"], strict=True)]
    wins = sum(pair > 0 for pair in pairs)
    last = {n: statistics.mean(scores[2, n, "head"]) for n in (few, many)}
    at_best = statistics.mean(scores[2, many, best])
    few_to_choose = means[CHOSEN] < means["head"] + 1
    chosen = "they are too few to choose it by" if few_to_choose else "so they can choose it"
    return (
        f"Two classes, {few} cells of each: `keep_until={best}` gets {means[best]:.1f}%, the whole "
        f"network {last[few]:.1f}%: {statistics.mean(pairs):.1f} points, better in {wins} of "
        f"{len(pairs)} draws. The stage that the {2 * few} training pictures choose gets "
        f"{means[CHOSEN]:.1f}%: {chosen}. "
        f"With {many} of each it is {at_best:.1f}% against {last[many]:.1f}%: with more pictures "
        "late features catch up."
    )


def table(scores: Scores, classes: int) -> str:
    counts = COUNTS[classes]
    head = ["what enters", *[f"{count} a class" for count in counts]]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    stages = list(dict.fromkeys(stage for c, _, stage in scores if c == classes))
    top = {
        count: max(statistics.mean(scores[classes, count, s]) for s in stages if s != CHOSEN)
        for count in counts
    }
    for stage in stages:
        cells_ = [_cell(scores[classes, count, stage], top[count]) for count in counts]
        name = "chosen by the training pictures" if stage == CHOSEN else f"`{stage}`"
        lines.append(f"| {name} | {' | '.join(cells_)} |")
    return "\n".join(lines)


def _cell(found: list[float], top: float) -> str:
    told = f"{statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}"
    return f"**{told}**" if statistics.mean(found) == top else told
