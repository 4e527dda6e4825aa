"""Pictures that are far longer than wide: cropped before they are resized, to the same pixels."""

import resource

import numpy as np
import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.data import slivers
from zoo_core.data.decoding import read_picture
from zoo_core.data.slivers import LONGEST, resized_part
from zoo_core.data.transforms import build_transform
from zoo_core.plugins.manifest_schema import CROP_MODES
from zoo_core.types import InputSpec

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
SIZES = [(1, 700), (700, 1), (3, 900), (1000, 3), (333, 7), (50, 40), (16, 2000), (301, 13)]
BANDS = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}


def noise(size, mode):
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], *BANDS[mode]), np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


@pytest.mark.parametrize("mode", BANDS)
@pytest.mark.parametrize("name", FILTERS)
def test_a_part_has_the_pixels_of_the_whole(name, mode):
    filter, draw = Image.Resampling[name.upper()], np.random.default_rng(1)
    for width, height in SIZES:
        picture = noise((width, height), mode)
        for side in (20, 37, 64):
            size = (side * width // min(width, height), side * height // min(width, height))
            whole = np.asarray(picture.resize(size, filter))
            rows, columns = draw.integers(0, size[1], 9), draw.integers(0, size[0], 7)
            part = np.asarray(resized_part(picture, size, rows, columns, filter))
            assert np.array_equal(part, whole[np.ix_(rows, columns)]), (width, height, side)


# Where height shrinks much more than width, Pillow may go down first, and so rounds otherwise. That
# is nothing that becomes large.
SHAPES = {
    "center": [(900, 3), (2, 700), (41, 400), (70, 60), (20, 20)],
    "squash": [(900, 3), (900, 30), (20, 20), (41, 40)],
    "border": [(900, 3), (400, 41), (70, 60), (20, 20)],
}


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (64, 48), (48, 64)])
@pytest.mark.parametrize("crop", [0.875, 1.0, 1.15])
@pytest.mark.parametrize("mode", CROP_MODES)
def test_the_transform_is_the_plain_one(monkeypatch, size, crop, mode, train):
    spec = InputSpec((3, *size), interpolation="bicubic", crop=crop, crop_mode=mode)
    plain, cut = (build_transform(spec, train=train) for _ in range(2))
    for shape in SHAPES[mode]:
        picture = noise(shape, "RGB")
        for seed in range(3):
            torch.manual_seed(seed)
            expected = plain(picture)
            after = torch.rand(1)
            with monkeypatch.context() as patched:
                patched.setattr(slivers, "LARGE", 0)
                patched.setattr(cut.geometry, "whole", None)  # it would fail
                torch.manual_seed(seed)
                assert torch.equal(cut(picture), expected), shape
            assert torch.rand(1) == after  # as many random numbers were drawn


def test_a_line_of_30000_pixels_takes_no_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size in ((30_000, 1), (1, 30_000), (LONGEST, 1)):
        for train in (False, True):
            for mode in CROP_MODES:
                transform = build_transform(InputSpec(crop_mode=mode), train=train)
                x = transform(Image.new("RGB", size, "white"))
                assert x.shape == (3, 224, 224) and x.max() > 2  # white, normalised
                assert x.min() > 2 or mode == "border"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_beyond_a_limit_the_picture_is_refused_by_name(tmp_path):
    Image.new("L", (LONGEST + 1, 1)).save(tmp_path / "w.png")
    with pytest.raises(zoo.DataError, match=r"w\.png is 100,001 x 1 pixels; .* at most 100,000"):
        read_picture(tmp_path / "w.png")
    with pytest.raises(zoo.DataError, match="The picture is 1 x 100,001 pixels"):
        zoo.create("lenet5").transform()(Image.new("L", (1, LONGEST + 1)))
