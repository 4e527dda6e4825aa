"""Picture files as people have them: odd modes, odd names, and damaged ones."""

import io
import random

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support.pictures import colours

import zoo_core as zoo
from zoo_core.data.decoding import decoded, read_picture
from zoo_core.data.digests import digest_of, item_digest
from zoo_core.data.opening import open_data
from zoo_core.data.transforms import build_transform
from zoo_core.types import InputSpec

NOISE = Image.effect_noise((64, 48), 60)


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


JPEG, PNG = encoded(NOISE, "JPEG"), encoded(NOISE, "PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"cats and dogs", "is no picture that can be read"),
        (JPEG[: len(JPEG) // 2], "cannot be read"),
        (PNG[: len(PNG) // 2], "cannot be read"),
        (PNG[:40] + b"\0" * 100, "is no picture"),
        (b"GIF89a" + b"\0" * 20, "is no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
    ],
    ids=["empty", "text", "half a JPEG", "half a PNG", "no PNG chunks", "no GIF", "SVG"],
)
def test_what_is_damaged_is_named_with_its_fault(tmp_path, content, message):
    path = tmp_path / "ein Bild é.jpg"
    path.write_bytes(content)
    with pytest.raises(zoo.DataError, match=rf"ein Bild é\.jpg {message}") as caught:
        read_picture(path)
    assert "Remove it, or save it again" in caught.value.hint


def test_whatever_bytes_are_damaged_it_is_a_picture_or_a_data_error():
    draw = random.Random(0)
    kinds = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    good = [encoded(NOISE, kind) for kind in kinds]
    refused = 0
    for round_ in range(400):
        content = bytearray(good[round_ % len(good)])
        for _ in range(draw.randrange(1, 30)):
            content[draw.randrange(min(len(content), 300))] = draw.randrange(256)
        try:
            decoded(bytes(content), "it")
        except zoo.DataError:
            refused += 1
    assert refused > 50


def test_a_folder_and_nothing_are_told_apart(tmp_path):
    (tmp_path / "1.png").mkdir()
    with pytest.raises(zoo.DataError, match=r"1\.png is a folder"):
        read_picture(tmp_path / "1.png")
    with pytest.raises(zoo.DataError, match=r"No picture at .*2\.png"):
        read_picture(tmp_path / "2.png")


def test_a_picture_too_large_to_be_one_is_refused(tmp_path):
    large = Image.new("1", (20_000, 20_000))
    with pytest.raises(zoo.DataError, match="exceeds limit"):
        decoded(encoded(large, "PNG"), "it")


@pytest.mark.filterwarnings("ignore")  # timm leaves the file open
def test_an_exif_note_on_rotation_is_not_followed_as_in_timm_and_torchvision(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90 degrees"
    path = tmp_path / "a" / "1.jpg"
    path.parent.mkdir()
    NOISE.save(path, exif=exif)
    from timm.data import ImageDataset
    from torchvision.datasets.folder import default_loader

    ours = read_picture(path)
    assert ours.size == ImageDataset(str(tmp_path))[0][0].size == default_loader(path).size
    assert ours.size == (64, 48)


def odd_pictures():
    palette = NOISE.convert("P")
    palette.info["transparency"] = 0
    deep = Image.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype(np.uint16))
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    return {
        "CMYK": encoded(NOISE.convert("CMYK"), "JPEG"),
        "16 bits": encoded(deep, "PNG"),
        "palette": encoded(palette, "PNG", transparency=0),
        "transparent": encoded(NOISE.convert("RGBA"), "PNG"),
        "grey with alpha": encoded(NOISE.convert("LA"), "PNG"),
        "black and white": encoded(NOISE.convert("1"), "PNG"),
        "animation": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated WebP": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "animated PNG": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "long comment": encoded(NOISE, "PNG", pnginfo=comment()),
    }


def comment():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 10_000)
    return info


@pytest.mark.parametrize("kind", odd_pictures())
def test_odd_pictures_become_what_a_network_wants(kind):
    picture = decoded(odd_pictures()[kind], kind)
    x = build_transform(InputSpec(size=(3, 32, 32)))(picture)
    assert x.shape == (3, 32, 32) and x.isfinite().all()
    if "animat" in kind:
        red, green, blue = x.mean((1, 2))
        assert red > green and red > blue, "the first frame is the picture"


def test_a_digest_is_that_of_the_bytes_and_of_nothing_else(tmp_path):
    folder = colours(tmp_path / "ein Ordner", {"ä": (0, 0, 0), "b": (9, 9, 9)})
    data = open_data(f"folder:{folder}")
    first = sorted((folder / "b").iterdir())[0]
    at = data.read.paths.index(first)
    assert data.digest(at) == digest_of(first.read_bytes())
    twin = first.rename(first.with_name("renamed.png"))
    again = open_data(f"folder:{folder}")
    assert {again.digest(i) for i in range(8)} == {data.digest(i) for i in range(8)}
    twin.write_bytes(twin.read_bytes() + b"\0")
    assert {open_data(f"folder:{folder}").digest(i) for i in range(8)} != {
        data.digest(i) for i in range(8)
    }


def test_digests_of_decoded_pictures_see_size_mode_and_palette():
    grey = Image.new("L", (8, 2), 7)
    palette = grey.convert("P")
    other = palette.copy()
    other.putpalette([200, 0, 0] * 256)
    pictures = [grey, Image.new("L", (2, 8), 7), Image.new("L", (8, 2), 8), palette, other]
    assert len({item_digest(picture) for picture in pictures}) == 5
    assert item_digest(grey) == item_digest(grey.copy())
    with pytest.raises(zoo.DataError, match="neither a PIL picture nor a tensor"):
        item_digest("a.png")
