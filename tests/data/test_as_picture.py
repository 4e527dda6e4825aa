"""Arrays and tensors as pictures: every layout and number type, or an error that names it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.data.as_picture import as_picture

RGB = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
GREY = RGB[..., 0]
RGBA = np.concatenate([RGB, RGB[..., :1]], -1)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("truth", [GREY, RGB, RGBA], ids=["grey", "colour", "transparent"])
def test_every_layout_gives_the_same_pixels(truth, scaled):
    wide = truth if truth.ndim == 3 else truth[..., None]
    for array in (truth, wide, wide.transpose(2, 0, 1), np.asfortranarray(truth)):
        kinds = [array] if not scaled else [(array / 255).astype(t) for t in (">f4", "f4", "f8")]
        kinds += [] if scaled else [torch.from_numpy(np.ascontiguousarray(array))]
        for given in kinds:
            assert np.array_equal(np.asarray(as_picture(given, "It")), truth)


def test_pictures_and_floating_tensors_stay_what_they_are():
    picture, tensor = Image.fromarray(RGB), torch.full((7, 4, 4), 300.0)
    assert as_picture(picture, "It") is picture and as_picture(tensor, "It") is tensor
    assert as_picture(tensor.half(), "It").dtype is torch.float16


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (RGB.astype(np.int64), "holds int64"),
        (torch.from_numpy(RGB).int(), "holds int32"),
        (GREY > 9, "holds bool"),
        (GREY.astype(np.uint16) * 16, "holds uint16"),
        (RGB.astype(float), "holds 0 to 255"),
        (RGB / 255 - 0.1, r"holds -0\.1 to 0\.9"),
        (np.where(RGB > 5, np.nan, 0.5), "holds NaN"),
        (np.full((4, 4), np.inf), "holds inf to inf"),
        (RGB[:3, :, :], "is .* may be the first or the last"),
        (torch.zeros(1, 28, 1, dtype=torch.uint8), "is .* may be the first or the last"),
        (RGBA[..., :2], r"is \(20, 28, 2\); a picture is"),
        (np.zeros((5, 20, 28), np.uint8), r"is \(5, 20, 28\); a picture is"),
        (RGB[None], r"is \(1, 20, 28, 3\)"),
        (RGB[:0], r"is \(0, 28, 3\)"),
        (np.zeros(3, np.uint8), r"is \(3,\)"),
        (np.full((4, 4), None), "holds object"),
        (GREY.tolist(), "is no picture but a list"),
        ("cat.png", "is no picture but a str"),
        (None, "is no picture but a NoneType"),
    ],
)
def test_what_would_take_a_guess_is_refused_by_name(given, said):
    with pytest.raises(zoo.DataError, match=f"^Item 3 {said}"):
        as_picture(given, "Item 3")
