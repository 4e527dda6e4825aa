"""Pictures that are far longer than wide: what a crop throws away is never made.

Resized so that the short side is 256, a picture of 30,000 x 1 has 2 billion pixels, of which the
crop keeps 50,000. Here only those are computed, as Pillow does it: with the same weights, across
first, rounded to bytes, then down. So they are the same, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from zoo_core.errors import DataError

LARGE = 2**24  # pixels of a resized picture; above it only the part is made
LONGEST = 100_000  # times as long as wide
ONE = 2**22  # Pillow's weights for bytes are whole numbers of 22 bits
PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}  # as Pillow resizes them

Size = tuple[int, int]


def refuse_sliver(size: Size, name: str) -> None:
    """Raise DataError for a picture (width, height) that is too long for its width."""
    if max(size) > LONGEST * max(min(size), 1):
        raise DataError(
            f"{name} is {size[0]:,} x {size[1]:,} pixels; "
            f"a picture is at most {LONGEST:,} times as long as wide.",
            hint="Cut it into pieces.",
        )


class Cut:
    """Resize and crop of a PIL picture: by `whole`, or of a sliver only the part that is kept.

    `resized`: the size (width, height) that a size becomes. `corner`: where the crop of (height,
    width) begins in it, (top, left). `fill`: the bytes of a pixel outside, by channel; None where
    the pixels at the edge are repeated. `after`: what is done with the crop. A class, so that
    worker processes can get it.
    """

    def __init__(
        self,
        whole: Callable[[Image.Image], object],
        crop: tuple[int, int],
        filter: Image.Resampling,
        resized: Callable[[Size], Size],
        corner: Callable[[Size], tuple[int, int]],
        after: Callable[[Image.Image], object],
        fill: tuple[int, ...] | None,
    ) -> None:
        self.whole, self.crop, self.filter = whole, crop, filter
        self.resized, self.corner, self.after, self.fill = resized, corner, after, fill

    def __call__(self, picture: Image.Image) -> object:
        width, height = self.resized(picture.size)
        if width * height <= LARGE:
            return self.whole(picture)
        refuse_sliver(picture.size, "The picture")
        top, left = self.corner((width, height))
        rows = np.arange(top, top + self.crop[0])
        columns = np.arange(left, left + self.crop[1])
        if self.fill is None:
            rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        else:
            rows = rows[(rows >= 0) & (rows < height)]
            columns = columns[(columns >= 0) & (columns < width)]
        size, filter = (width, height), self.filter
        if size == picture.size:
            filter = Image.Resampling.NEAREST  # nothing is weighed
        part = resized_part(picture, size, rows, columns, filter)
        if self.fill is not None:
            part = framed(part, (max(-top, 0), max(-left, 0)), self.crop, self.fill)
        return self.after(part)


def framed(
    part: Image.Image, corner: tuple[int, int], size: tuple[int, int], fill: tuple[int, ...]
) -> Image.Image:
    """A picture of (height, width) with `part` at (top, left), and `fill` around it, by channel."""
    bands = len(part.getbands())
    colour = tuple(fill[band % len(fill)] for band in range(bands))
    frame = Image.new(part.mode, (size[1], size[0]), colour)
    frame.paste(part, (corner[1], corner[0]))
    return frame


def resized_part(
    picture: Image.Image,
    size: Size,
    rows: np.ndarray,
    columns: np.ndarray,
    filter: Image.Resampling,
) -> Image.Image:
    """Rows and columns of what `picture.resize(size, filter)` gives, without the rest of it.

    Its pixels are bytes, and `size` is not its own.
    """
    if filter == Image.Resampling.NEAREST:
        down = _nearest(picture.height, size[1])[rows]
        across = _nearest(picture.width, size[0])[columns]
        left, top = int(across.min()), int(down.min())
        near = picture.crop((left, top, int(across.max()) + 1, int(down.max()) + 1))
        return Image.fromarray(np.asarray(near)[np.ix_(down - top, across - left)])
    multiplied = PREMULTIPLIED.get(picture.mode)
    plain = picture.convert(multiplied) if multiplied else picture
    left, across = _weights(picture.width, size[0], columns, filter)
    top, down = _weights(picture.height, size[1], rows, filter)
    pixels = np.asarray(plain.crop((left, top, left + across.shape[1], top + down.shape[1])))
    pixels = _weighed(across, pixels.swapaxes(0, 1)).swapaxes(0, 1)
    pixels = _weighed(down, pixels)
    part = Image.frombytes(plain.mode, (len(columns), len(rows)), pixels.tobytes())
    return part.convert(picture.mode) if multiplied else part


def _weighed(weights: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bytes (inputs, ...) as bytes (outputs, ...)."""
    sums = weights @ pixels.reshape(len(pixels), -1).astype(np.int64)
    rounded = (sums + ONE // 2) // ONE
    return rounded.clip(0, 255).astype(np.uint8).reshape(-1, *pixels.shape[1:])


def _nearest(length: int, resized: int) -> np.ndarray:
    """The input of each output (resized,): Pillow adds steps up, and so has errors of its own."""
    line = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    return np.asarray(line.resize((resized, 1), Image.Resampling.NEAREST))[0]


# --- Pillow's weights: precompute_coeffs and its filters, in src/libImaging/Resample.c -----------


def _weights(
    length: int, resized: int, places: np.ndarray, filter: Image.Resampling
) -> tuple[int, np.ndarray]:
    """Of a side that is resized: the first input, and how much of each is in the outputs.

    The table (places, inputs) holds whole numbers, of which ONE is all.
    """
    if length == resized:
        first = int(min(places))
        return first, ONE * np.eye(max(places) + 1 - first, dtype=np.int64)[places - first]
    scale = length / resized
    stretch = max(scale, 1.0)
    function, support = FILTERS[filter]
    each = []
    for place in places.tolist():
        center = (place + 0.5) * scale
        start = max(int(center - support * stretch + 0.5), 0)
        stop = min(int(center + support * stretch + 0.5), length)
        shares = [function((x - center + 0.5) * (1.0 / stretch)) for x in range(start, stop)]
        total = sum(shares)
        each.append((start, [share / total for share in shares]))
    first = min(start for start, _ in each)
    last = max(start + len(shares) for start, shares in each)
    table = np.zeros((len(each), last - first), np.int64)
    for row, (start, shares) in zip(table, each, strict=True):
        row[start - first : start - first + len(shares)] = [
            int(share * ONE + math.copysign(0.5, share)) for share in shares
        ]
    return first, table


def _box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _bilinear(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _hamming(x: float) -> float:
    if x == 0:
        return 1.0
    turn = abs(x) * math.pi
    return math.sin(turn) / turn * (A + B * math.cos(turn)) if abs(x) < 1 else 0.0


A, B = float(np.float32(0.54)), float(np.float32(0.46))  # as they stand there


def _bicubic(x: float) -> float:
    a, x = -0.5, abs(x)
    if x < 1:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3 <= x < 3 else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


FILTERS = {
    Image.Resampling.BOX: (_box, 0.5),
    Image.Resampling.BILINEAR: (_bilinear, 1.0),
    Image.Resampling.HAMMING: (_hamming, 1.0),
    Image.Resampling.BICUBIC: (_bicubic, 2.0),
    Image.Resampling.LANCZOS: (_lanczos, 3.0),
}
