"""The real pictures of the evidence: one set near to ImageNet, one far from it, and one of neither.

stamps     photographs of Debian's tuxpaint-stamps-default, GPL-2: animals, plants, food, things
cells      solar cells of elpv-dataset, CC BY-NC-SA 4.0, functional or defective
fashion    Fashion-MNIST of Debian's dataset-fashion-mnist: clothes, 28x28, grey

None of them is part of zoo; the commands fetch them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.unpacking import unpacked
from zoo_core.data.decoding import Files
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import per_class

# Folders of stamps whose photographs are enough for 10 to train with and 8 to test.
STAMPS = {
    "birds": "animals/birds",
    "mammals": "animals/mammals",
    "fruit": "food/fruit",
    "vegetables": "food/vegetables",
    "flowers": "plants/flowers",
    "road signs": "town/roadsigns",
    "household": "household",
    "vehicles": "vehicles",
}
DRAWN = {"cartoon", "toys", "plastic"}  # folders of what is no photograph, or of no animal


@dataclass(frozen=True)
class PictureSet:
    """`split`: (pictures of each class, seed) -> pictures to train with and to test on.

    `size`: pixels a side that all arms see. `counts`: pictures per class.
    """

    title: str
    split: Callable[[int, int], tuple[Pictures, Pictures]]
    size: int
    counts: tuple[int, ...]


def open_stamps() -> Pictures:
    """Photographs on stamps, by the folder that they are in."""
    top = unpacked("tuxpaint-stamps-default") / "usr/share/tuxpaint/stamps"
    paths, targets = [], []
    for number, folder in enumerate(STAMPS.values()):
        own = sorted((top / folder).rglob("*.png"))
        own = [path for path in own if DRAWN.isdisjoint(path.relative_to(top).parts)]
        paths += own
        targets += [number] * len(own)
    return Pictures("stamps", Files(paths), targets, list(STAMPS))


def stamps(count: int, seed: int) -> tuple[Pictures, Pictures]:
    """So many of each class by seed, and all others to test on."""
    pictures = open_stamps()
    chosen = per_class(pictures.targets, count, seed=seed)
    rest = sorted(set(range(len(pictures))) - set(chosen))
    return pictures.subset(chosen), pictures.subset(rest)


def cells(count: int, seed: int) -> tuple[Pictures, Pictures]:
    """So many of each class of the training part by seed, and the whole test part."""
    train = open_data("elpv#train", progress=False)
    return _drawn(train, count, seed), open_data("elpv#test", progress=False)


def open_fashion(part: str) -> Pictures:
    """Fashion-MNIST, `train` or `test`."""
    folder = unpacked("dataset-fashion-mnist") / "usr/share/datasets/fashion-mnist"
    return open_data(f"idx:{folder}#{part}", progress=False)


def opened(spec: str) -> Pictures:
    """`stamps`, `fashion` (its test part), or data as zoo opens it."""
    if spec == "stamps":
        return open_stamps()
    return open_fashion("test") if spec == "fashion" else open_data(spec)


def fashion(count: int, seed: int) -> tuple[Pictures, Pictures]:
    """So many of each class of the training part by seed, and 1,000 test pictures, always these."""
    train, test = (open_fashion(part) for part in ("train", "test"))
    return _drawn(train, count, seed), _drawn(test, 100, 0)


def _drawn(pictures: Pictures, count: int, seed: int) -> Pictures:
    return pictures.subset(per_class(pictures.targets, count, seed=seed))


SETS = {
    "stamps": PictureSet("Stamps, near: 8 classes", stamps, 128, (10,)),
    "cells": PictureSet("Solar cells, far: 2 classes", cells, 128, (10, 50, 200)),
    "fashion": PictureSet("Fashion-MNIST: 10 classes", fashion, 64, (10, 50, 200)),
}


def contact_sheet(pictures: Pictures, path: Path, each: int = 8) -> None:
    """The first pictures of each class, a row a class: to see what is in a set."""
    from PIL import Image

    sheet = Image.new("RGB", (each * 64, pictures.num_classes * 64), "white")
    for target in range(pictures.num_classes):
        own = [i for i, t in enumerate(pictures.targets) if t == target]
        for column, index in enumerate(torch.tensor(own)[:each].tolist()):
            picture = pictures.read(index).convert("RGBA").resize((64, 64))
            sheet.paste(picture, (column * 64, target * 64), picture)
    sheet.save(path)
