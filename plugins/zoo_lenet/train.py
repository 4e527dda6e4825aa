"""How the weights that ship with zoo were made, and are made again.

    python -m zoo_lenet.train mnist5k OUT
    python -m zoo_lenet.train fashion_mnist OUT [--data DIR]

Trains LeNet-5 from scratch through zoo's public functions, measures it once on pictures that it
has not seen, and writes OUT/lenet5.NAME.safetensors with its recipe beside it. A few minutes each
on two cores.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import save_file
from torchvision.transforms import v2

import zoo_core as zoo
from zoo_core.data import Pictures, open_data


@dataclass(frozen=True)
class Lesson:
    """What a set of weights is trained on: specs, mean and spread of its grey, epochs, class names.

    `augment`: whether pictures are warped and shifted; 4,000 digits need it, 60,000 clothes do
    worse with it.
    """

    train: str
    test: str
    mean: float
    std: float
    epochs: int
    classes: tuple[str, ...]
    augment: bool


DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

LESSONS = {
    "mnist5k": Lesson("mnist5k#train", "mnist5k#test", 0.1307, 0.3081, 80, DIGITS, augment=True),
    "fashion_mnist": Lesson(
        "idx:{}#train", "idx:{}#test", 0.2860, 0.3530, 10, CLOTHES, augment=False
    ),
}


class Warped(torch.utils.data.Dataset[Any]):
    """Pictures turned by up to 10 degrees and scaled by up to a tenth, anew each time.

    Handwriting varies so.
    """

    def __init__(self, pictures: Pictures) -> None:
        self.pictures, self.targets = pictures, pictures.targets
        smooth = v2.InterpolationMode.BILINEAR
        self.warp = v2.RandomAffine(10, scale=(0.9, 1.1), interpolation=smooth)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Any:
        picture, target = self.pictures[index]
        return self.warp(picture), target


def train(name: str, data: str, out: Path) -> None:
    lesson = LESSONS[name]
    torch.manual_seed(0)
    model = zoo.create("lenet5")
    model.labels = lesson.classes
    model.input = replace(model.input, mean=(lesson.mean,), std=(lesson.std,))
    pictures: Any = open_data(lesson.train.format(data))
    if lesson.augment:
        pictures = Warped(pictures)
    phases = [(lesson.epochs, 1e-3), (lesson.epochs // 5, 1e-4)]
    common: dict[str, Any] = {"val": False, "augment": lesson.augment, "out": False}
    for epochs, rate in phases:
        zoo.finetune(model, pictures, epochs=epochs, lr=rate, **common)
    figures = zoo.evaluate(model, lesson.test.format(data))
    path = out / f"lenet5.{name}.safetensors"
    save_file(model.state_dict(), path, metadata={"format": "pt"})
    path.chmod(0o644)
    recipe = {
        "command": f"python -m zoo_lenet.train {name} OUT",
        "data": {"train": lesson.train.format("DIR"), "test": lesson.test.format("DIR")},
        "phases": [{"epochs": epochs, "lr": rate} for epochs, rate in phases],
        "result": {key: figures[key] for key in ("accuracy", "loss", "count")},
        "versions": {"zoo": zoo.__version__, "torch": torch.__version__},
    }
    path.with_suffix(".toml").write_text(tomli_w.dumps(recipe))
    print(f"{path}: {figures['accuracy']:.2%} of {figures['count']} pictures")


def main() -> int:
    about, folder = __doc__.partition("\n")[0], "/usr/share/datasets/fashion-mnist"
    parser = argparse.ArgumentParser(prog="python -m zoo_lenet.train", description=about)
    parser.add_argument("name", choices=sorted(LESSONS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", default=folder, help="Fashion-MNIST's four files")
    typed = parser.parse_args()
    typed.out.mkdir(parents=True, exist_ok=True)
    train(typed.name, typed.data, typed.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
