"""Fixed views of each picture, which can be cached, against views that are new in each epoch.

The last stages train, so that pictures are augmented; the frozen part before them is most of the
work. Mean accuracy on held-out pictures over five seeds, with its standard error, and CPU time.
Fixed views are as good where they are within 0.3 points of fresh ones.

`python -m benchmarks.views [digits|cells] [SEEDS] [EPOCHS]`; of both sets it takes hours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import Skipped, show
from benchmarks.photographs import cells, laid_out, missing

WAYS: tuple[bool | int, ...] = (True, 4, 8, 16)  # True: new in each epoch
SEEDS, EPOCHS, CLOSE = 5, 16, 0.3
TRAIN, TEST = 400, 800  # photographs


class Set(NamedTuple):
    """What trains on what. `data`, `test`: specs."""

    model: str
    until: str
    data: str
    test: str
    classes: int


class Found(NamedTuple):
    accuracy: list[float]
    seconds: float


def digits(folder: Path) -> Set:
    return Set("lenet5", "fc1", "mnist5k#train", "mnist5k#test", 10)


def photographs(folder: Path) -> Set:
    """Every third cell to train with, others to test with."""
    train = laid_out(folder / "train", cells()[::3][:TRAIN])
    test = laid_out(folder / "test", cells()[1::3][:TEST])
    return Set("efficientnet_lite0", "block5", train, test, 2)


SETS = {"digits": digits, "cells": photographs}


def trained(given: Set, augment: bool | int, seed: int, epochs: int) -> float:
    """The accuracy on held-out pictures, in percent."""
    import torch

    import zoo_core as zoo

    torch.manual_seed(seed)
    model = zoo.create(given.model, pretrained=given.model != "lenet5", num_classes=given.classes)
    how: dict[str, Any] = {"out": False, "progress": False, "workers": 0, "val": False}
    how |= {"epochs": epochs, "seed": seed, "augment": augment, "freeze_until": given.until}
    zoo.finetune(model, given.data, cache=augment is not True, **how)
    return 100 * float(zoo.evaluate(model, given.test, progress=False)["accuracy"])


def compared(name: str, seeds: int = SEEDS, epochs: int = EPOCHS) -> dict[str, Found]:
    """Each way to make views, all seeds; each way starts with an empty cache."""
    from zoo_core.cache import using_cache

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        given = SETS[name](Path(folder))
        for way in WAYS:
            start = time.process_time()
            with using_cache(Path(folder) / f"cache-{way}"):
                accuracy = [trained(given, way, seed, epochs) for seed in range(seeds)]
            title = "fresh" if way is True else f"{way} views"
            found[title] = Found(accuracy, (time.process_time() - start) / seeds)
            print(line(title, found), flush=True)
    return found


def line(title: str, found: dict[str, Found]) -> str:
    """A way as a row: accuracy, how far from fresh views, and seconds of CPU for a training."""
    accuracy, fresh = found[title].accuracy, found["fresh"].accuracy
    pairs = [a - b for a, b in zip(accuracy, fresh, strict=True)]
    error = statistics.stdev(accuracy) / len(accuracy) ** 0.5 if len(accuracy) > 1 else 0.0
    behind = statistics.mean(pairs)
    close = "as good" if behind >= -CLOSE else "worse"
    return (
        f"| {title} | {statistics.mean(accuracy):.2f} ± {error:.2f} % | {behind:+.2f} | {close} "
        f"| {found[title].seconds:.1f} s |"
    )


def main(name: str = "", seeds: str = str(SEEDS), epochs: str = str(EPOCHS)) -> None:
    for title in [name] if name else SETS:
        if title == "cells" and (reason := missing()):
            show([Skipped("views of photographs", reason)])
            continue
        print(f"\n{title}, {epochs} epochs\n\n| views | accuracy | against fresh | | CPU |")
        print("|---|---|---|---|---|")
        compared(title, int(seeds), int(epochs))


if __name__ == "__main__":
    main(*sys.argv[1:])
