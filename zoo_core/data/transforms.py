"""From a picture to what a set of weights wants to see.

The same steps for training, evaluation and prediction.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from zoo_core.data.as_picture import as_picture
from zoo_core.data.pixels import DEEP, depth_of, in_eight_bits
from zoo_core.data.slivers import Cut, Size, framed
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name
from zoo_core.types import InputSpec

Fill = tuple[int, ...]

# The share of a (padded) picture's side that a random crop keeps at most: AlexNet's 224 of 256.
TRAIN_CROP = 0.875


# By the channels that a model sees: the planes of a picture, and of one that has transparency.
PLANES = {1: ("L", "L"), 2: ("RGB", "LA"), 4: ("RGB", "RGBA")}


class Preprocessing:
    """A picture of any size and mode -> a float tensor (C, H, W).

    It is a PIL picture, or an array or a tensor of bytes as of `as_picture`. A class, so that
    worker processes can get it.
    """

    def __init__(self, spec: InputSpec, geometry: Callable[[Image.Image], Any]) -> None:
        self.spec = spec
        self.geometry = geometry

    def __call__(self, picture: Any) -> Tensor:
        picture = as_picture(picture, "The picture")
        if isinstance(picture, Tensor):
            raise DataError(
                "A tensor of floats counts as preprocessed; there is nothing to transform.",
                hint="Give it to the model as it is, or pixels from 0 to 255 as uint8.",
            )
        channels = self.spec.size[0]
        plain, clear = PLANES.get(channels, ("RGB", "RGB"))
        x = self.geometry(in_mode(picture, clear if picture.has_transparency_data else plain))
        x = x.float().div(255)
        if channels != len(x):  # colours in turn, as the first convolution was adapted
            x = x[torch.arange(channels) % len(x)]
        mean = torch.tensor(self.spec.mean).view(-1, 1, 1)
        std = torch.tensor(self.spec.std).view(-1, 1, 1)
        return x.sub(mean).div(std)


def build_transform(spec: InputSpec, *, train: bool = False) -> Preprocessing:
    """The preprocessing that `spec` asks for.

    The pixels are those of timm's transform for evaluation. `train=True`: a random crop instead of
    the middle one, and the mirror image half of the time where `spec.flip` allows it (Krizhevsky et
    al., 2012).

    >>> from PIL import Image
    >>> build_transform(InputSpec())(Image.new("L", (640, 480))).shape
    torch.Size([3, 224, 224])
    """
    return Preprocessing(spec, _random_crop(spec) if train else _middle_crop(spec))


def _middle_crop(spec: InputSpec) -> Cut:
    """As timm's, by its own steps: importing timm takes longer than torch."""
    crop = (spec.size[1], spec.size[2])
    resized, corner = _resized(spec, _sides(spec)), functools.partial(_middle, crop)
    fill = _mean_colour(spec) if spec.crop_mode == "border" else (0,)
    whole = v2.Compose(
        [
            functools.partial(_resize, resized, _filter(spec)),
            functools.partial(_cut, crop, corner, fill),
            v2.PILToTensor(),
        ]
    )
    return Cut(whole, crop, _filter(spec), resized, corner, v2.PILToTensor(), fill)


def _random_crop(spec: InputSpec) -> Cut:
    """Crops at the scale that evaluation sees, so that things are as large as there.

    The margin comes by padding: by the pixels at the edge, or where evaluation has a border of the
    mean colour, by that.
    """
    _, height, width = spec.size
    side = _side(min(height, width), spec.crop)
    margin = math.ceil(max(min(height, width) / TRAIN_CROP - side, 0) / 2)
    crop = v2.RandomCrop((height, width), padding=margin, pad_if_needed=True, padding_mode="edge")
    after = v2.Compose([v2.RandomHorizontalFlip(0.5 if spec.flip else 0.0), v2.PILToTensor()])
    covered = (side, side) if spec.crop_mode == "center" else _sides(spec)
    resized, corner = _resized(spec, covered), functools.partial(_drawn, crop)
    fill = _mean_colour(spec) if spec.crop_mode == "border" else None
    drawn = crop if fill is None else functools.partial(_cut, (height, width), corner, fill)
    whole = v2.Compose([functools.partial(_resize, resized, _filter(spec)), drawn, after])
    return Cut(whole, (height, width), _filter(spec), resized, corner, after, fill)


def _filter(spec: InputSpec) -> Image.Resampling:
    return Image.Resampling[spec.interpolation.removesuffix("-exact").upper()]


# --- the size of a picture, (width, height), before the crop ------------------------------------


def _side(side: int, crop: float) -> int:
    return max(math.floor(side / crop), 1)


def _sides(spec: InputSpec) -> Size:
    return _side(spec.size[2], spec.crop), _side(spec.size[1], spec.crop)


def _resized(spec: InputSpec, sides: Size) -> Callable[[Size], Size]:
    """What a size becomes, so that it covers `sides`, is `sides`, or is within them."""
    if spec.crop_mode == "squash":
        return functools.partial(_stretched, sides)
    if spec.crop_mode == "border":
        return functools.partial(_within, sides)
    if sides[0] == sides[1]:
        return functools.partial(_short_side, sides[0])
    return functools.partial(_covering, sides)


def _short_side(side: int, size: Size) -> Size:
    """What torchvision's Resize makes of a size (width, height)."""
    long = int(side * max(size) / min(size))
    return (side, long) if size[0] <= size[1] else (long, side)


def _covering(sides: Size, size: Size) -> Size:
    """What timm's ResizeKeepRatio makes of a size (width, height): no less than `sides`."""
    ratio = min(size[0] / sides[0], size[1] / sides[1])
    return round(size[0] / ratio), round(size[1] / ratio)


def _within(sides: Size, size: Size) -> Size:
    """What timm's ResizeKeepRatio(longest=1) makes of it, but never nothing: within `sides`."""
    ratio = max(size[0] / sides[0], size[1] / sides[1])
    return max(round(size[0] / ratio), 1), max(round(size[1] / ratio), 1)


def _stretched(sides: Size, size: Size) -> Size:
    return sides


def _resize(
    resized: Callable[[Size], Size], filter: Image.Resampling, picture: Image.Image
) -> Image.Image:
    size = resized(picture.size)
    return picture if size == picture.size else picture.resize(size, filter)


# --- the crop -----------------------------------------------------------------------------------


def _middle(crop: tuple[int, int], size: Size) -> tuple[int, int]:
    """Where torchvision's CenterCrop of (height, width) begins; below 0 where it pads."""
    spare = size[1] - crop[0], size[0] - crop[1]
    top, left = (round(n / 2) if n >= 0 else -(-n // 2) for n in spare)
    return top, left


def _drawn(crop: v2.RandomCrop, size: Size) -> tuple[int, int]:
    """Where torchvision's RandomCrop begins, by the random numbers that it draws."""
    as_if = torch.empty(1).expand(1, size[1], size[0])  # of no memory
    drawn = crop.make_params([as_if])
    left, top = drawn["padding"][:2]
    return drawn["top"] - top, drawn["left"] - left


def _cut(
    crop: tuple[int, int],
    corner: Callable[[Size], tuple[int, int]],
    fill: Fill,
    picture: Image.Image,
) -> Image.Image:
    top, left = corner(picture.size)
    box = (left, top, left + crop[1], top + crop[0])
    inside = min(left, top) >= 0 and box[2] <= picture.width and box[3] <= picture.height
    return picture.crop(box) if inside else framed(picture, (-top, -left), crop, fill)


def _mean_colour(spec: InputSpec) -> Fill:
    """The mean as bytes, as timm rounds it: what becomes 0, by channel."""
    return tuple(min(max(round(255 * mean), 0), 255) for mean in spec.mean)


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """The picture in grey (`L`) or colour (`RGB`), or with its transparency (`LA`, `RGBA`).

    Without it, what is transparent becomes white. What has more than 8 bits keeps its shades.
    Raises DataError where nobody can know what its values mean.
    """
    if picture.mode == mode and "transparency" not in picture.info:
        return picture
    if picture.mode in DEEP:
        name = readable_name(getattr(picture, "filename", "") or "The picture")
        depth = depth_of(picture)
        picture.load()
        picture = in_eight_bits(picture, name, depth, bits=None)
    if picture.has_transparency_data:
        picture = _in_rgba(picture)
        if mode in ("L", "RGB"):
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif picture.mode in ("HSV", "LAB"):
        picture = picture.convert("RGB")  # Pillow knows no other way from there
    return picture if picture.mode == mode else picture.convert(mode)


def _in_rgba(picture: Image.Image) -> Image.Image:
    """With transparency on its own; premultiplied colours are divided by it first."""
    straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
    return (picture.convert(straight) if straight else picture).convert("RGBA")
