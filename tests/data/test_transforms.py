"""Preprocessing equals timm's where timm has it, and treats every kind of picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

import zoo_core as zoo
from zoo_core.data.loader import loader
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import Samples, seeded
from zoo_core.data.transforms import build_transform, in_mode
from zoo_core.types import InputSpec


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "inception_v3.tv_in1k", "alexnet"])
def test_evaluation_equals_timms_transform_bit_for_bit(photo, name):
    model = zoo.info(name)
    spec = model.weights[name.partition(".")[2]].input if "." in name else model.input
    given = {"mean": spec.mean, "std": spec.std, "crop_pct": spec.crop}
    theirs = create_transform(spec.size, interpolation=spec.interpolation, **given)
    assert torch.equal(build_transform(spec)(photo), theirs(photo))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize(
    ("size", "crop"), [((3, 65, 65), 0.9), ((3, 64, 48), 0.875), ((3, 64, 64), 1.0)]
)
def test_every_size_and_interpolation_is_timms(photo, size, crop, interpolation):
    spec = InputSpec(size, interpolation=interpolation, crop=crop)
    given = {"mean": spec.mean, "std": spec.std, "crop_pct": crop}
    theirs = create_transform(size, interpolation=interpolation, **given)
    assert torch.equal(build_transform(spec)(photo), theirs(photo))


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop", [0.875, 1.0, 1.15])
@pytest.mark.parametrize("size", [(3, 64, 64), (3, 64, 48), (3, 47, 65)])
def test_every_way_to_crop_is_timms(photo, size, crop, crop_mode):
    spec = InputSpec(size, interpolation="bicubic", crop=crop, crop_mode=crop_mode)
    given = {"mean": spec.mean, "std": spec.std, "crop_pct": crop, "crop_mode": crop_mode}
    theirs = create_transform(size, interpolation="bicubic", **given)
    for picture in (photo, photo.rotate(90, expand=True), photo.resize((33, 20))):
        assert torch.equal(build_transform(spec)(picture), theirs(picture))


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_border_is_of_the_mean_colour(mode, channels, train):
    spec = InputSpec((3, 32, 32), crop=1.0, crop_mode="border").with_channels(channels)
    torch.manual_seed(0)
    x = build_transform(spec, train=train)(Image.new(mode, (320, 80), "white"))
    border = x.abs().amax(dim=(0, 2)) < 0.02  # the mean is 0, but for the rounding to bytes
    assert 32 - 8 - 1 <= border.sum() <= 32 - 7  # a picture of 32 x 8
    assert train or border.tolist() == [True] * 12 + [False] * 8 + [True] * 12


def test_training_pictures_are_squashed_where_those_of_evaluation_are():
    halves = Image.new("RGB", (400, 100))
    halves.paste((255, 255, 255), (200, 0, 400, 100))
    spec = InputSpec((3, 32, 32), crop=1.0, crop_mode="squash", flip=False)
    torch.manual_seed(0)
    for _ in range(20):
        row = build_transform(spec, train=True)(halves)[0, 16]
        assert row[0] < 0 < row[-1]  # both ends are there, whatever part is cut


def test_channels_follow_the_model(photo):
    spec = InputSpec(size=(3, 64, 64))
    one, four = (build_transform(spec.with_channels(n))(photo) for n in (1, 4))
    colour = build_transform(spec)(photo)
    assert one.shape == (1, 64, 64) and four.shape == (4, 64, 64)
    assert torch.equal(four[:3], colour) and torch.equal(four[3], colour[0])


def test_training_crops_move_and_keep_the_scale():
    picture = Image.new("L", (32, 32))
    picture.putpixel((16, 16), 255)
    spec = InputSpec((1, 32, 32), (0.0,), (1.0,), "nearest", 1.0, flip=False)
    transform = build_transform(spec, train=True)
    torch.manual_seed(0)
    spots = [transform(picture)[0].nonzero().tolist() for _ in range(60)]
    assert all(len(spot) == 1 for spot in spots)  # nothing grew or shrank
    ys, xs = zip(*[spot[0] for spot in spots], strict=True)
    assert (min(ys), max(ys), min(xs), max(xs)) == (13, 19, 13, 19)


def test_digits_are_never_mirrored_and_photos_are_half_of_the_time():
    left = Image.new("RGB", (64, 64))
    left.paste((255, 255, 255), (0, 0, 32, 64))
    counts = {}
    for flip in (True, False):
        transform = build_transform(InputSpec((3, 32, 32), flip=flip), train=True)
        torch.manual_seed(0)
        crops = [transform(left) for _ in range(200)]
        counts[flip] = sum(bool(x[..., -4:].mean() > x[..., :4].mean()) for x in crops)
    assert counts[False] == 0 and 70 < counts[True] < 130


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"])
@pytest.mark.parametrize("wanted", ["L", "RGB"])
def test_every_mode_of_picture_is_read(mode, wanted):
    assert in_mode(Image.new(mode, (8, 8)), wanted).mode == wanted


def test_sixteen_bit_grey_keeps_its_shades_and_transparent_is_white():
    deep = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    assert np.asarray(in_mode(deep, "L")).tolist() == [[0, 128, 255]]
    clear = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert in_mode(clear, "RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    digits = open_data("digits").subset(range(40))
    transform = zoo.create("lenet5").transform(train=True)
    samples = Samples(digits, transform, random=True, seed=7)
    torch.manual_seed(1)
    first = samples.__getitems__([(3, 5), (3, 6)])[0]
    torch.manual_seed(2)
    again = samples.__getitems__([(3, 6), (3, 5)])[0]
    assert torch.equal(first, again.flip(0))
    assert not torch.equal(first[0], samples.__getitems__([(4, 5)])[0][0])
    with_workers = loader(samples, 8, shuffle=True, workers=2)
    alone = loader(samples, 8, shuffle=True, workers=0)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(with_workers, alone, strict=True))


def test_seeded_leaves_the_outer_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with seeded(1, 2):
        torch.rand(5)
    assert torch.equal(torch.rand(3), expected)


def test_a_dataset_with_an_augmentation_of_its_own_is_read_anew_each_epoch():
    reads = Pictures("own", lambda i: torch.rand(1, 32, 32), [0, 1], None, fixed=False)
    samples = Samples(reads, lambda x: x, random=False, seed=0)
    assert not samples.hold()
    assert not torch.equal(samples.__getitems__([(1, 0)])[0], samples.__getitems__([(2, 0)])[0])


def test_order_covers_everything_once_and_differs_by_epoch():
    digits = open_data("digits").subset(range(50))
    samples = Samples(digits, zoo.create("lenet5").transform(), random=False, seed=0)
    batches = loader(samples, 16, shuffle=True, workers=0)
    order = batches.batch_sampler
    order.epoch = 1
    first = [index for batch in order for _, index in batch]
    order.epoch = 2
    second = [index for batch in order for _, index in batch]
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
