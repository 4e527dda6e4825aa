"""Tasks from what packages carry, each with a train and a test part.

The parts are those of the package, or halves of it by seed: a test of 45 pictures is off by chance
by seven points, and another half each time is off by less on average.

Half of them are for choosing (`tune`), half for reporting (`report`); which is which was written
down before anything was measured on them, so that each half has near and far ones, photographs,
drawings and small grey pictures. Nine of few classes were added `later`, after what advise() goes
by was done; nothing of it was changed for them.

    python -m benchmarks.tasks            how many pictures and classes each has
"""

from __future__ import annotations

import functools
import gzip
import io
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.picture_sets import open_fashion
from benchmarks.unpacking import unpacked, wheel
from zoo_core.data.decoding import Files, Rows
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import split

MOST_TESTED = 2000  # pictures: a standard error of at most 1.1 points
SIDE = 256  # pixels that are kept of a drawing: some have a hundred million
FONTS = ("fonts-aenigma", "fonts-urw-base35", "fonts-freefont-ttf", "fonts-lato")
LETTERS = "abdeghnrst"
CLIPART = "openclipart-png", "usr/share/openclipart/png"
STAMPS = "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"

Parts = tuple[Pictures, Pictures]


@dataclass(frozen=True)
class Task:
    """A name, which half it is in, or `later`, and what opens its train and test part."""

    name: str
    half: str
    open: Callable[[int], Parts]

    def parts(self, seed: int = 0) -> Parts:
        """Training pictures, all that there are, and test pictures, at most MOST_TESTED."""
        train, test = self.open(seed)
        if len(test) > MOST_TESTED:
            _, test = split(test, MOST_TESTED, seed=0)
        return train, test


def cells(classes: int, seed: int) -> Parts:
    """Electroluminescence photographs of solar cells: defective or not, or how probably."""
    from elpv_dataset.utils import load_dataset

    pictures, probabilities, _ = load_dataset()
    targets = [round(float(p) * 3) for p in probabilities]
    if classes == 2:
        targets = [int(target >= 2) for target in targets]
        names = ["functional", "defective"]
    else:
        names = ["functional", "probably functional", "probably defective", "defective"]
    return _halves(f"cells{classes}", Rows(np.stack(pictures)), targets, names, seed)


def crystals(seed: int) -> Parts:
    """The same photographs, by what the cells are made of: one crystal, or many."""
    from elpv_dataset.utils import load_dataset

    pictures, _, kinds = load_dataset()
    names = sorted({str(kind) for kind in kinds})
    targets = [names.index(str(kind)) for kind in kinds]
    return _halves("crystals", Rows(np.stack(pictures)), targets, names, seed)


def folders(name: str, root: Path, least: int, seed: int) -> Parts:
    """Pictures by the folder at the top that they are in; symlinks are the same pictures again."""
    found = {
        folder.name: sorted(p for p in folder.rglob("*.png") if not p.is_symlink())
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name not in ("special", "unsorted")
    }
    chosen = {name: paths for name, paths in found.items() if len(paths) >= least}
    paths = [_shrunk(path) for paths in chosen.values() for path in paths]
    targets = [i for i, paths in enumerate(chosen.values()) for _ in paths]
    return _halves(name, Files(paths), targets, list(chosen), seed)


def _shrunk(path: Path) -> Path:
    """A copy of at most SIDE pixels a side, made once."""
    copy = path.with_suffix(f".{SIDE}.webp")
    if not copy.exists():
        Image.MAX_IMAGE_PIXELS = None  # of a package, and no stranger's
        with Image.open(path) as picture:
            picture.thumbnail((SIDE, SIDE))
            part = copy.with_suffix(f".{os.getpid()}")
            picture.convert("RGBA").save(part, "webp", lossless=True)
            part.replace(copy)
    return copy


def drawings(name: str, half: str, source: tuple[str, str], below: str, least: int) -> Task:
    """Of a package, the folders below one of it that have at least so many pictures."""
    package, path = source
    return Task(
        name, half, lambda seed: folders(name, unpacked(package) / path / below, least, seed)
    )


def fashion(name: str, half: str, numbers: Sequence[int]) -> Task:
    return Task(name, half, lambda _: _some(name, map(open_fashion, ("train", "test")), numbers))


def _some(name: str, parts: Iterable[Pictures], numbers: Sequence[int]) -> Parts:
    train, test = (_of_classes(name, pictures, numbers) for pictures in parts)
    return train, test


def spec(name: str) -> Parts:
    return open_data(f"{name}#train"), open_data(f"{name}#test")


def silhouettes(seed: int) -> Parts:
    """Ten animals, black on white, 28x28."""
    folder = wheel("animal-mnist") / "animal_mnist/data/Animal_MNIST"
    pictures, targets = (
        _unpickled(folder / f"animal_{kind}_version_3.gz") for kind in ("data", "label")
    )
    return _halves("silhouettes", Rows(np.asarray(pictures)), targets, None, seed)


def letters() -> Parts:
    """Ten letters in every font of some packages that has them, with fonts of the test unseen."""
    fonts = [p for package in FONTS for p in sorted(unpacked(package).rglob("*.[to]tf"))]
    sides: dict[int, list[tuple[Any, int]]] = {0: [], 1: []}
    for number, path in enumerate(fonts):
        for target, letter in enumerate(LETTERS):
            drawn = _drawn(path, letter)
            if drawn is not None:
                sides[int(number % 3 == 0)].append((drawn, target))
    train, test = (
        Pictures("letters", Rows(np.stack([d for d, _ in side])), [t for _, t in side], [*LETTERS])
        for side in sides.values()
    )
    return train, test


def _drawn(path: Path, letter: str, side: int = 64) -> Any:
    """A letter in the middle of a white square; nothing where the font leaves it blank."""
    try:
        font = ImageFont.truetype(str(path), 44)
        left, top, right, bottom = font.getbbox(letter)
    except (OSError, ValueError):
        return None
    picture = Image.new("L", (side, side), 255)
    place = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(picture).text(place, letter, fill=0, font=font)
    array = np.asarray(picture)
    return array if array.min() < 128 else None


def _unpickled(path: Path) -> Any:
    """Arrays of numpy, and nothing else that a pickle could hold."""

    class Arrays(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype"):
                return super().find_class(module, name)
            raise SystemExit(f"animal-mnist holds a {module}.{name}, and not arrays alone.")

    return Arrays(io.BytesIO(gzip.decompress(path.read_bytes()))).load()


def _halves(name: str, read: Any, targets: Any, classes: list[str] | None, seed: int) -> Parts:
    """A half by seed is the test; equal pictures are on one side."""
    return split(Pictures(name, read, targets, classes), 1 / 2, seed=seed)


def _of_classes(name: str, pictures: Pictures, numbers: Sequence[int]) -> Pictures:
    chosen = [i for i, target in enumerate(pictures.targets) if target in numbers]
    kept = pictures.subset(chosen)
    targets = [list(numbers).index(target) for target in kept.targets]
    names = [pictures.classes[i] for i in numbers] if pictures.classes else None
    return Pictures(name, kept.read, targets, names)


TASKS = [
    Task("cells2", "report", lambda seed: cells(2, seed)),
    Task("cells4", "tune", lambda seed: cells(4, seed)),
    drawings("stamps", "tune", STAMPS, "", 30),
    drawings("stamp animals", "report", STAMPS, "animals", 8),
    fashion("fashion", "tune", range(10)),
    fashion("fashion even", "report", range(0, 10, 2)),
    fashion("fashion odd", "tune", range(1, 10, 2)),
    Task("mnist5k", "tune", lambda _: spec("mnist5k")),
    Task("digits", "report", lambda _: spec("digits")),
    Task("silhouettes", "report", silhouettes),
    Task("letters", "report", lambda _: letters()),
    drawings("clipart", "report", CLIPART, "", 80),
    drawings("clipart animals", "tune", CLIPART, "animals", 30),
    drawings("clipart food", "tune", CLIPART, "food", 25),
    drawings("clipart recreation", "report", CLIPART, "recreation", 30),
    drawings("clipart transport", "tune", CLIPART, "transportation", 25),
    drawings("clipart people", "later", CLIPART, "people", 25),
    drawings("clipart shapes", "later", CLIPART, "shapes", 25),
    drawings("clipart signs", "later", CLIPART, "signs_and_symbols", 24),
    drawings("clipart computer", "later", CLIPART, "computer", 40),
    drawings("stamp symbols", "later", STAMPS, "symbols", 20),
    drawings("stamp town", "later", STAMPS, "town", 20),
    Task("crystals", "later", crystals),
    Task("three digits", "later", lambda _: _some("three digits", spec("mnist5k"), (3, 5, 8))),
    fashion("shoes", "later", (5, 7, 9)),
]


@functools.cache
def task(name: str) -> Task:
    """A task by name. Raises KeyError."""
    return {one.name: one for one in TASKS}[name]


def main() -> None:
    for one in TASKS:
        train, test = one.parts()
        counts = Counter(train.targets).values()
        print(
            f"{one.name:20} {one.half:7} {train.num_classes:3} classes, {len(train):6} to train "
            f"({min(counts)} to {max(counts)} a class), {len(test):4} to test"
        )


if __name__ == "__main__":
    main()
