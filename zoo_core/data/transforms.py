"""From a picture to what a set of weights wants to see.

The same steps for training, evaluation and prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from zoo_core.types import InputSpec

# The share of a (padded) picture's side that a random crop keeps at most: AlexNet's 224 of 256.
TRAIN_CROP = 0.875


class Preprocessing:
    """A PIL picture of any size and mode -> a float tensor (C, H, W).

    A class, so that worker processes can get it.
    """

    def __init__(self, spec: InputSpec, geometry: Callable[[Image.Image], Tensor]) -> None:
        self.spec = spec
        self.geometry = geometry

    def __call__(self, picture: Image.Image) -> Tensor:
        channels = self.spec.size[0]
        x = self.geometry(in_mode(picture, "L" if channels == 1 else "RGB")).float().div(255)
        if channels != len(x):  # colours in turn, as the first convolution was adapted
            x = x[torch.arange(channels) % len(x)]
        mean = torch.tensor(self.spec.mean).view(-1, 1, 1)
        std = torch.tensor(self.spec.std).view(-1, 1, 1)
        return x.sub(mean).div(std)


def build_transform(spec: InputSpec, *, train: bool = False) -> Preprocessing:
    """The preprocessing that `spec` asks for.

    `train=True`: a random crop instead of the middle one, and the mirror image half of the time
    where `spec.flip` allows it (Krizhevsky et al., 2012).

    >>> from PIL import Image
    >>> build_transform(InputSpec())(Image.new("L", (640, 480))).shape
    torch.Size([3, 224, 224])
    """
    return Preprocessing(spec, _random_crop(spec) if train else _middle_crop(spec))


def _middle_crop(spec: InputSpec) -> Any:
    """As timm's: for squares by its own steps, since importing timm takes longer than torch."""
    _, height, width = spec.size
    if height == width:
        steps = [
            v2.Resize(math.floor(height / spec.crop), v2.InterpolationMode(spec.interpolation)),
            v2.CenterCrop((height, width)),
            v2.PILToTensor(),
        ]
        return v2.Compose(steps)
    from timm.data import create_transform

    return create_transform(
        input_size=spec.size,
        interpolation=spec.interpolation,
        crop_pct=spec.crop,
        crop_mode="center",
        normalize=False,
    )


def _random_crop(spec: InputSpec) -> Any:
    """Crops at the scale that evaluation sees, so that things are as large as there.

    The margin comes by padding.
    """
    _, height, width = spec.size
    side = math.floor(min(height, width) / spec.crop)
    margin = math.ceil(max(min(height, width) / TRAIN_CROP - side, 0) / 2)
    steps = [
        v2.Resize(side, v2.InterpolationMode(spec.interpolation)),
        v2.RandomCrop((height, width), padding=margin, pad_if_needed=True, padding_mode="edge"),
        v2.RandomHorizontalFlip(0.5 if spec.flip else 0.0),
        v2.PILToTensor(),
    ]
    return v2.Compose(steps)


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """The picture in grey (`L`) or colour (`RGB`).

    What is transparent becomes white; 16-bit grey keeps its shades.
    """
    if picture.mode == mode:
        return picture
    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif "A" in picture.getbands() or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(mode)
