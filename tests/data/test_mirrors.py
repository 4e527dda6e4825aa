"""Classes that are each other's mirror image are seen, and nothing else is taken for such."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from zoo_core.data.mirrors import Mirrors, mirrored_classes
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import FixedViews, Samples
from zoo_core.data.transforms import build_transform
from zoo_core.types import InputSpec

Draw = Callable[[np.random.Generator], Image.Image]


def pictures(*kinds: Draw, count: int = 32, classes: list[str] | None = None) -> Pictures:
    rng = np.random.default_rng(0)
    made = [kind(rng) for kind in kinds for _ in range(count)]
    targets = [number for number in range(len(kinds)) for _ in range(count)]
    return Pictures("drawn", made.__getitem__, targets, classes)


def arrow(rng: np.random.Generator) -> Image.Image:
    """To the left, of any shade, somewhere in front of something."""
    small = rng.integers(0, 200, (5, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)
    x, y, half = (int(rng.integers(*span)) for span in ((4, 20), (24, 40), (10, 16)))
    points = [(x, y), (x + 30, y - half), (x + 30, y + half)]
    ImageDraw.Draw(picture).polygon(points, fill=(240, 240, 240))
    return picture


def plain_arrow(rng: np.random.Generator) -> Image.Image:
    """To the left, at one of a few heights on a dark ground: nearly a copy of the others."""
    picture, y = Image.new("RGB", (48, 48), (20, 20, 20)), int(rng.integers(18, 30))
    ImageDraw.Draw(picture).polygon([(8, y), (30, y - 10), (30, y + 10)], fill=(230, 230, 230))
    return picture


def mirror_of(draw: Draw) -> Draw:
    return lambda rng: ImageOps.mirror(draw(rng))


def texture(blur: float) -> Draw:
    def draw(rng: np.random.Generator) -> Image.Image:
        noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        return noise.filter(ImageFilter.GaussianBlur(blur))

    return draw


def shape(kind: str, *, centred: bool) -> Draw:
    def draw(rng: np.random.Generator) -> Image.Image:
        picture = Image.new("L", (64, 64), int(rng.integers(0, 80)))
        size = int(rng.integers(8, 14))
        x, y = (32, 32) if centred else rng.integers(16, 48, 2).tolist()
        box = [x - size, y - size, x + size, y + size]
        getattr(ImageDraw.Draw(picture), kind)(box, fill=255)
        return picture

    return draw


def lit_from_the_left(colour: tuple[float, ...]) -> Draw:
    def draw(rng: np.random.Generator) -> Image.Image:
        slope = np.linspace(255, 0, 64)[None, :, None] * np.ones((64, 1, 3)) * colour
        noisy = slope + rng.normal(0, 20, slope.shape)
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

    return draw


def blank(shade: int) -> Draw:
    return lambda rng: Image.new("RGB", (20, 30), (shade, 0, 0))


def test_arrows_to_the_left_and_to_the_right_are_seen():
    assert mirrored_classes(pictures(arrow, mirror_of(arrow))) == [Mirrors(0, 1)]
    several = pictures(shape("ellipse", centred=True), mirror_of(arrow), texture(1), arrow)
    assert mirrored_classes(several) == [Mirrors(1, 3)]


NO_MIRRORS = {
    "the same pictures in both": (arrow, arrow),
    "arrows both ways in both": (lambda r: (arrow, mirror_of(arrow))[r.integers(2)](r),) * 2,
    "textures": (texture(1), texture(3)),
    "one texture": (texture(2), texture(2)),
    "symmetric": (shape("ellipse", centred=True), shape("rectangle", centred=True)),
    "somewhere": (shape("ellipse", centred=False), shape("rectangle", centred=False)),
    "lit from one side": (lit_from_the_left((1, 0.8, 0.6)), lit_from_the_left((0.6, 0.8, 1))),
    "blank": (blank(10), blank(200)),
}


@pytest.mark.parametrize("count", [10, 30, 60])
def test_arrows_that_are_nearly_copies_of_each_other_are_seen(count):
    """Their own class is so near that the mirrored one is far in comparison."""
    drawn = pictures(plain_arrow, mirror_of(plain_arrow), count=count, classes=["gauche", "droite"])
    assert mirrored_classes(drawn) == [Mirrors(0, 1)]


@pytest.mark.parametrize("name", NO_MIRRORS)
def test_no_other_classes_are_taken_for_mirror_images(name):
    assert mirrored_classes(pictures(*NO_MIRRORS[name])) == []


@pytest.mark.parametrize("data", ["digits", "mnist5k"])
def test_no_digit_is_taken_for_another(data):
    everything = open_data(data)
    assert mirrored_classes(everything) == []
    twos_and_fives = [i for i, target in enumerate(everything.targets) if target in (2, 5)]
    assert mirrored_classes(everything.subset(twos_and_fives)) == []


def test_names_tell_where_pictures_do_not():
    names = ["turn_left", "ahead", "turn_right", "upright"]
    drawn = pictures(texture(1), texture(1), texture(1), texture(1), classes=names, count=2)
    assert mirrored_classes(drawn) == [Mirrors(0, 2)]


def test_few_pictures_and_tensors_are_not_looked_at():
    assert mirrored_classes(pictures(arrow, mirror_of(arrow), count=5)) == []
    tensors = Pictures("own", list(torch.rand(20, 3, 8, 8)).__getitem__, [0, 1] * 10, None)
    assert mirrored_classes(tensors) == []


def test_looking_takes_no_random_numbers_and_few_pictures():
    drawn = pictures(arrow, mirror_of(arrow), count=200)
    seen = []

    def read(index: int) -> Image.Image:
        seen.append(index)
        torch.rand(1)
        return drawn.read(index)

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert mirrored_classes(Pictures("own", read, drawn.targets, None, fixed=False))
    assert torch.equal(torch.rand(1), expected)
    assert len(seen) == 64


def test_crops_without_mirrors_crop():
    spec = InputSpec((3, 40, 40), flip=False)
    picture = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    drawn = Pictures("own", [picture].__getitem__, [0], None)
    plain, crops = build_transform(spec), build_transform(spec, train=True)
    given = {"seed": 0, "views": 2, "plain": plain}
    still = FixedViews(drawn, crops, mirrors=False, **given)
    mirrored = FixedViews(drawn, crops, mirrors=True, **given)
    middle = Samples(drawn, plain, random=False, seed=0).sample(1, 0)
    assert torch.equal(mirrored.sample(2, 0), middle.flip(-1))
    assert not torch.equal(still.sample(2, 0), middle.flip(-1))
    assert not torch.equal(still.sample(2, 0), middle)  # a crop of its own
