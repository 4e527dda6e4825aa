"""A look at each picture without a network: whether it can be read, its size, and a tiny copy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from zoo_core.data.as_picture import as_picture
from zoo_core.data.pictures import Pictures, name_of
from zoo_core.errors import DataError
from zoo_core.humanize import one_line
from zoo_core.pages.thumbnails import from_tensor
from zoo_core.progress import Bar

SIDE = 16  # pixels of the tiny copy
THREADS, CHUNK = 8, 256


@dataclass(frozen=True)
class Look:
    """What is seen of a picture: `fault` says why it cannot be read, and then there is no more.

    `size`: width and height. `tiny`: (SIDE, SIDE, 3) of bytes, whatever its shape was. `digest`:
    what identifies its content.
    """

    fault: str = ""
    size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    tiny: Any = None


def looks(pictures: Pictures, *, progress: bool = True) -> list[Look]:
    """A look at each, in their order: in threads, but one by one where zoo did not open them."""
    with Bar("looking", total=len(pictures), shown=progress, unit="pictures") as bar:
        found = []
        for look in _looks(pictures):
            bar.step()
            found.append(look)
    return found


def _looks(pictures: Pictures) -> Iterator[Look]:
    def one(index: int) -> Look:
        return _look(pictures, index)

    with ThreadPoolExecutor(THREADS if pictures.fixed else 1) as pool:
        for start in range(0, len(pictures), CHUNK):
            yield from pool.map(one, range(start, min(start + CHUNK, len(pictures))))


def _look(pictures: Pictures, index: int) -> Look:
    try:
        item, digest = pictures.read_with_digest(index)
        picture = as_picture(item, name_of(pictures, index))
        if isinstance(picture, Tensor):
            picture = from_tensor(picture)
        return Look("", picture.size, digest, tiny(picture))
    except DataError as error:
        return Look(error.message)
    except Exception as error:  # somebody's Dataset may raise anything
        text = f"{type(error).__name__}: {one_line(error)}"
        return Look(f"{name_of(pictures, index)} cannot be read: {text}.")


def tiny(picture: Image.Image) -> np.ndarray:
    """A picture of any size as (SIDE, SIDE, 3) bytes: weighted means over its areas."""
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small.convert("RGB"))
