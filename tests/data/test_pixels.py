"""Pixels of every mode and depth: right within rounding, or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

import zoo_core as zoo
from zoo_core.data.decoding import decoded
from zoo_core.data.opening import open_data
from zoo_core.data.transforms import build_transform, in_mode
from zoo_core.types import InputSpec

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
SHADES = Image.fromarray(RAMP)


def encoded(array, kind, **options):
    stream = io.BytesIO()
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def tiff(array, **tags):
    """A TIFF with numbers of tags: bits=12 is stated as SMaxSampleValue."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    if "smax" in tags:
        info[341] = tags["smax"]
        info.tagtype[341] = 12 if array.dtype == np.float32 else 4
    content = encoded(array, "TIFF", tiffinfo=info)
    if "photometric" in tags:
        content = changed(content, 262, tags["photometric"])
    if "sample_format" in tags:
        content = changed(content, 339, tags["sample_format"])
    return content


def changed(content, tag, value):
    """A TIFF of this machine's bytes with another short value of a tag."""
    start = struct.unpack_from("<I", content, 4)[0]
    for i in range(struct.unpack_from("<H", content, start)[0]):
        at = start + 2 + 12 * i
        if struct.unpack_from("<H", content, at)[0] == tag:
            return content[: at + 8] + struct.pack("<H", value) + content[at + 10 :]
    raise AssertionError(f"no tag {tag}")


def png(rows, depth, colour, *, clear=b"", width=4):
    """A PNG as the specification has it; `rows`: the bytes of its only row."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    transparent = chunk(b"tRNS", clear) if clear else b""
    body = chunk(b"IDAT", zlib.compress(b"\0" + rows))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + transparent + body + chunk(b"IEND", b"")


def grey(picture):
    return np.asarray(in_mode(picture, "L"))


def near(found, wanted, off=1):
    return bool((np.abs(found.astype(int) - np.asarray(wanted).astype(int)) <= off).all())


# --- what files hold -----------------------------------------------------------------------------

WIDE = RAMP.astype(np.float64) / 255  # what each file below shows
RIGHT = {
    "8-bit PNG": encoded(RAMP, "PNG"),
    "16-bit PNG": encoded((WIDE * 65535).round().astype(np.uint16), "PNG"),
    "16-bit TIFF": encoded((WIDE * 65535).round().astype(np.uint16), "TIFF"),
    "16-bit TIFF, other end first": encoded((WIDE * 65535).round().astype(">u2"), "TIFF"),
    "16-bit TIFF, packed": encoded(
        (WIDE * 65535).round().astype(np.uint16), "TIFF", compression="tiff_lzw"
    ),
    "16-bit TIFF, 0 is white": tiff(((1 - WIDE) * 65535).round().astype(np.uint16), photometric=0),
    "TIFF that states 12 bits": tiff((WIDE * 4095).round().astype(np.uint16), smax=4095),
    "TIFF of 32 bits that states 12": tiff((WIDE * 4095).round().astype(np.int32), smax=4095),
    "TIFF of 32 bits that states 32": tiff(
        (WIDE * (2**32 - 2)).round().astype(np.uint32).view(np.int32),
        smax=2**32 - 2,
        sample_format=1,
    ),
    "float TIFF": encoded(WIDE.astype(np.float32), "TIFF"),
    "float TIFF that states 65535": tiff((WIDE * 65535).astype(np.float32), smax=65535.0),
    "PGM of 8 bits": encoded(RAMP, "PPM"),
    "PGM of 12 bits": b"P5 16 16 4095\n" + (WIDE * 4095).round().astype(">u2").tobytes(),
    "PGM of 16 bits": b"P5 16 16 65535\n" + (WIDE * 65535).round().astype(">u2").tobytes(),
    "PGM of 7 bits": b"P5 16 16 127\n" + (WIDE * 127).round().astype(np.uint8).tobytes(),
    "PGM in words": b"P2 16 16 1000\n" + b" ".join(b"%d" % round(v * 1000) for v in WIDE.flat),
    "PFM": b"Pf\n16 16\n-1.0\n" + WIDE[::-1].astype("<f4").tobytes(),
    "16-bit JPEG 2000": encoded((WIDE * 65535).round().astype(np.uint16), "JPEG2000"),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_greys_of_any_depth_are_right_within_rounding(kind):
    picture = decoded(RIGHT[kind], kind)
    assert picture.mode == "L" and near(np.asarray(picture), RAMP)


def test_12_bits_packed_in_a_tiff_are_the_files_own():
    values = np.array([[0, 1000, 2048, 4095]], np.uint16)
    packed = bytes(
        byte
        for a, b in values.reshape(-1, 2).tolist()
        for byte in (a >> 4, (a & 15) << 4 | b >> 8, b & 255)
    )
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    at = 8 + len(packed)
    content = b"II*\0" + struct.pack("<I", at) + packed + struct.pack("<H", len(tags)) + entries
    assert near(np.asarray(decoded(content + b"\0\0\0\0", "it")), [[0, 62, 128, 255]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(np.full((2, 2), 200, np.int32), "TIFF"), r"32-bit integers up to 200, .* white"),
        (encoded(np.full((2, 2), -3, np.int32), "TIFF"), r"values from -3 to -3; a pixel is"),
        (encoded(np.full((2, 2), -0.5, np.float32), "TIFF"), r"values from -0\.5 to -0\.5"),
        (encoded(np.full((2, 2), np.nan, np.float32), "TIFF"), r"; a pixel is a number"),
        (encoded(np.full((2, 2), np.inf, np.float32), "TIFF"), r"to inf; a pixel is a number"),
        (encoded(np.full((2, 2), 255.0, np.float32), "TIFF"), r"floats up to 255, and white is 1"),
        (tiff(np.full((2, 2), 5000, np.uint16), smax=4095), r"up to 5000, and white is 4095"),
        (tiff(np.full((2, 2), 9, np.int32), sample_format=1), r"up to 9, and does not say"),
    ],
)
def test_what_nobody_can_know_is_refused_by_name(content, message):
    with pytest.raises(zoo.DataError, match=rf"scan\.tif holds .*{message}"):
        decoded(content, "scan.tif")


def test_nan_among_numbers_is_seen():
    values = np.full((4, 4), 0.5, np.float32)
    values[2, 1] = np.nan
    with pytest.raises(zoo.DataError, match="holds NaN"):
        decoded(encoded(values, "TIFF"), "it")


@pytest.mark.parametrize(
    ("array", "bits"),
    [
        ((WIDE * 4095).round().astype(np.uint16), 12),
        ((WIDE * 1023).round().astype(np.uint16), 10),
        (RAMP.astype(np.int32), 8),
        ((WIDE * 65535).round().astype(np.int32), 16),
        ((WIDE * 65535).astype(np.float32), 16),
        (RAMP.astype(np.float32), 8),
        (RAMP, 12),  # of 8 bits, as some of a set may be
    ],
)
def test_bits_that_a_person_states(array, bits):
    assert near(np.asarray(decoded(encoded(array, "TIFF"), "it", bits)), RAMP)


def test_bits_that_are_wrong_are_refused_and_what_a_file_states_is_believed():
    deep = np.full((2, 2), 5000, np.uint16)
    with pytest.raises(zoo.DataError, match=r"up to 5000, and white is 4095.*bits=14"):
        decoded(encoded(deep, "PNG"), "it", 12)
    assert near(np.asarray(decoded(RIGHT["PGM of 12 bits"], "it", 10)), RAMP)
    colour = png(struct.pack(">12H", *range(0, 4800, 400)), 16, 2)
    with pytest.raises(zoo.DataError, match=r"colour picture with 12 bits in 16.*upper 8"):
        decoded(colour, "it", 12)


# --- modes ---------------------------------------------------------------------------------------

HALF = 128
MODES = [  # mode, a pixel, grey, colour
    ("1", 255, 255, (255, 255, 255)),
    ("L", 100, 100, (100, 100, 100)),
    ("LA", (0, HALF), 127, (127, 127, 127)),
    ("LA", (0, 0), 255, (255, 255, 255)),
    ("La", (0, HALF), 127, (127, 127, 127)),
    ("PA", (0, 0), 255, (255, 255, 255)),
    ("RGB", (255, 0, 0), 76, (255, 0, 0)),
    ("RGBA", (255, 0, 0, HALF), 165, (255, 127, 127)),
    ("RGBA", (9, 9, 9, 0), 255, (255, 255, 255)),
    ("RGBa", (HALF, 0, 0, HALF), 165, (255, 127, 127)),
    ("RGBX", (255, 0, 0, 0), 76, (255, 0, 0)),
    ("CMYK", (0, 255, 255, 0), 76, (255, 0, 0)),
    ("YCbCr", (76, 85, 255), 76, (254, 0, 0)),
    ("HSV", (0, 255, 255), 76, (255, 0, 0)),
    ("LAB", (255, 0, 0), 255, (255, 255, 255)),
    ("I;16", 32896, 128, (128, 128, 128)),
    ("I;16B", 32896, 128, (128, 128, 128)),
    ("I;16L", 65535, 255, (255, 255, 255)),
    ("I;16N", 257, 1, (1, 1, 1)),
    ("I", 0, 0, (0, 0, 0)),
    ("F", 0.5, 128, (128, 128, 128)),
]


@pytest.mark.parametrize(("mode", "pixel", "shade", "colour"), MODES)
def test_every_mode_of_pillow_in_grey_and_in_colour(mode, pixel, shade, colour):
    picture = Image.new(mode, (2, 2))
    if mode in ("LAB", "La", "RGBa"):
        picture = Image.frombytes(mode, (2, 2), bytes(pixel) * 4)
    elif mode.startswith("I;16"):
        order = ">H" if mode == "I;16B" else "<H"
        picture = Image.frombytes(mode, (2, 2), struct.pack(order, pixel) * 4)
    else:
        picture.paste(pixel, (0, 0, 2, 2))
    assert near(np.asarray(in_mode(picture, "L")), shade)
    assert near(np.asarray(in_mode(picture, "RGB")), colour)


def test_pillow_has_no_mode_that_is_not_in_the_table():
    tried = {"P", *(mode for mode, *_ in MODES)}  # palettes have tests of their own
    assert set(Image.MODES) <= tried, "a new mode needs a line in MODES"


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_picture_in_memory_that_says_nothing_is_refused(mode):
    with pytest.raises(zoo.DataError, match=r"The picture holds .*(white is 1|which of them)"):
        in_mode(Image.new(mode, (2, 2), 200), "L")


def test_palettes_and_single_colours_that_are_transparent_are_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putdata([0, 1])
    content = encoded(palette, "PNG", transparency=0)
    assert np.asarray(in_mode(decoded(content, "it"), "RGB")).tolist() == [
        [[255, 255, 255], [0, 255, 0]]
    ]
    red = encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", transparency=(255, 0, 0))
    assert in_mode(decoded(red, "it"), "RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("depth", "row", "clear", "shades"),
    [
        (1, b"\x50", 0, [255, 255, 255, 255]),
        (2, b"\x1b", 2, [0, 85, 255, 255]),
        (4, b"\x05\xa6", 10, [0, 85, 255, 102]),
        (8, b"\x00\x05\xa6\xff", 5, [0, 255, 166, 255]),
        (16, struct.pack(">4H", 0, 4096, 40000, 65535), 4096, [0, 255, 156, 255]),
        (16, struct.pack(">4H", 0, 4096, 40000, 65535), 65535, [0, 16, 156, 255]),
    ],
)
def test_a_transparent_grey_of_any_depth_is_white_and_no_other(depth, row, clear, shades):
    content = png(row, depth, 0, clear=struct.pack(">H", clear))
    assert near(grey(decoded(content, "it")), [shades])


def test_16_bits_a_colour_lose_the_lower_8():
    values = [0, 30000, 65535] * 4
    picture = decoded(png(struct.pack(">12H", *values), 16, 2), "it")
    assert near(np.asarray(picture), [[[0, 117, 255]] * 4])


# --- channels ------------------------------------------------------------------------------------


def planes(picture, channels):
    spec = InputSpec((channels, 2, 2), (0.0,) * channels, (1.0,) * channels, crop=1.0)
    return (build_transform(spec)(picture) * 255).round()[:, 0, 0].int().tolist()


@pytest.mark.parametrize(
    ("picture", "channels", "wanted"),
    [
        (Image.new("RGBA", (2, 2), (10, 20, 30, 0)), 3, [255, 255, 255]),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 255)), 4, [10, 20, 30, 255]),
        (Image.new("RGB", (2, 2), (10, 20, 30)), 4, [10, 20, 30, 10]),
        (Image.new("LA", (2, 2), (10, 255)), 4, [10, 10, 10, 255]),
        (Image.new("LA", (2, 2), (10, 255)), 2, [10, 255]),
        (Image.new("RGBA", (2, 2), (10, 10, 10, 255)), 2, [10, 255]),
        (Image.new("RGB", (2, 2), (10, 20, 30)), 2, [10, 20]),
        (Image.new("L", (2, 2), 10), 2, [10, 10]),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 0)), 1, [255]),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 255)), 5, [10, 20, 30, 10, 20]),
    ],
)
def test_models_of_two_and_four_channels_see_transparency(picture, channels, wanted):
    assert planes(picture, channels) == wanted


def test_training_crops_keep_transparency():
    spec = InputSpec((3, 32, 32)).with_channels(4)
    torch.manual_seed(0)
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    x = build_transform(spec, train=True)(clear)
    assert x.shape == (4, 32, 32) and torch.equal(x[3], x[0]), "alpha 0 is as dark as black"


def test_a_transform_takes_arrays_and_bytes_and_no_floats():
    transform = zoo.create("lenet5").transform()
    wanted = transform(SHADES)
    for array in (RAMP, torch.tensor(RAMP), torch.tensor(RAMP)[None], RAMP[..., None], RAMP / 255):
        assert torch.equal(transform(array), wanted)
    with pytest.raises(zoo.DataError, match="counts as preprocessed"):
        transform(wanted)
    with pytest.raises(zoo.DataError, match="no picture but a str"):
        transform("1.png")


# --- 12 bits in 16 -------------------------------------------------------------------------------


@pytest.fixture
def scans(tmp_path):
    """Four pictures of 12 bits in 16, and four of 8."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            deep = (WIDE * 4095).round().astype(np.uint16)
            Image.fromarray(deep).save(tmp_path / name / f"deep {i}.png")
            SHADES.save(tmp_path / name / f"plain {i}.png")
    return tmp_path


def test_pictures_of_12_bits_are_counted_named_once_and_mended_by_a_word(scans, capfd):
    faint = open_data(f"folder:{scans}")
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "4 of 4 pictures with 16 bits a pixel hold no value" in said
    assert f"the first is {scans}/a/deep 0.png" in said and "?bits=12" in said
    assert faint.notes == [said.strip()] and np.asarray(faint.read(0)).max() == 16
    right = open_data(f"folder:{scans}?bits=12")
    assert capfd.readouterr().err == "" and right.notes == []
    assert all(near(np.asarray(right.read(i)), RAMP) for i in range(len(right)))
    assert right.digest(0) != faint.digest(0), "a cache of the one is none of the other"


def test_pictures_that_use_their_16_bits_are_not_named(tmp_path, capfd):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for i, content in enumerate(RIGHT.values()):
        (tmp_path / "ab"[i % 2] / f"{i}.png").write_bytes(content)
    Image.new("I;16", (4, 4)).save(tmp_path / "a" / "black.png")
    data = open_data(f"folder:{tmp_path}")
    assert len(data) == len(RIGHT) + 1 and capfd.readouterr().err == ""


def test_colours_of_12_bits_are_named_too(tmp_path, capfd):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(png(struct.pack(">12H", *[4000] * 12), 16, 2))
    open_data(f"folder:{tmp_path}")
    assert "2 of 2 pictures with 16 bits" in capfd.readouterr().err


@pytest.mark.parametrize("bits", ["0", "7", "33", "x", ""])
def test_bits_are_a_number(scans, bits):
    with pytest.raises(zoo.DataError, match=r"is a number from 8 to 32"):
        open_data(f"folder:{scans}?bits={bits}")


def test_predict_says_it_too_and_takes_the_number_of_bits(scans, capfd):
    given = {"progress": True, "top": 1}
    faint = zoo.predict("lenet5", scans, **given)
    assert (
        "4 of 4 pictures with 16 bits" in (said := capfd.readouterr().err) and "--bits 12" in said
    )
    right = zoo.predict("lenet5", scans, bits=12, **given)
    assert capfd.readouterr().err == ""
    assert [one["probability"] for one in right] != [one["probability"] for one in faint]
    assert len({round(one["probability"], 2) for one in right}) == 1, "all show the same"
    with pytest.raises(zoo.DataError, match="bits must be a whole number from 8 to 32: 7"):
        zoo.predict("lenet5", scans, bits=7)
