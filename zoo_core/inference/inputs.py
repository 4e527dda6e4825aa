"""What people call pictures (files, folders, PIL, tensors, arrays) -> one picture at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from zoo_core import files
from zoo_core.data.as_picture import as_picture, refuse_format
from zoo_core.data.endings import files_below, left_out, seen_again, unlisted_error
from zoo_core.data.formats.hfds import is_table, pictures_in
from zoo_core.data.formats.hub_place import repository_of
from zoo_core.data.opening import open_data
from zoo_core.data.specs import refuse_url
from zoo_core.errors import DataError
from zoo_core.humanize import one_line, readable_name

Picture = Path | Image.Image | Tensor
"""A file, a PIL picture, or a tensor (C, H, W) that counts as preprocessed."""


def inputs(pictures: Any, notes: list[str] | None = None) -> Iterator[Picture]:
    """Each picture of what is given, in order; files are not read yet.

    `pictures`: a path of a file, or of a folder, with all pictures below it in the order of their
    names; a PIL picture; a float tensor (C, H, W) or (N, C, H, W); an array or a tensor of bytes,
    or an array of floats from 0 to 1, (H, W), (H, W, C) or (C, H, W), or (N, ...) of such, with 1,
    3 or 4 channels, or the path of a .npy file with one; a `datasets.Dataset` or `IterableDataset`
    with one column of pictures, or a data set of the Hub (`hf://datasets/OWNER/NAME`); or an
    iterable of those, such as a generator. Files in folders that are no pictures are counted in
    `notes`. Raises DataError for anything else.

    >>> [picture.size for picture in inputs(np.zeros((2, 28, 20, 3), np.uint8))]
    [(20, 28), (20, 28)]
    """
    if repository_of(pictures) is not None:
        opened = open_data(pictures, progress=False)
        yield from map(opened.read, range(len(opened)))
    elif is_table(pictures) or is_table(pictures, "IterableDataset"):
        yield from pictures_in(pictures)
    elif isinstance(pictures, str | Path):
        refuse_url(str(pictures))
        yield from _at(Path(pictures).expanduser(), notes)
    elif isinstance(pictures, Image.Image):
        yield _loaded(pictures)
    elif isinstance(pictures, Tensor) and pictures.is_floating_point():
        yield from _in_tensor(pictures)
    elif isinstance(pictures, np.ndarray | Tensor):
        yield from _in_array(pictures)
    elif isinstance(pictures, Iterable) and not isinstance(pictures, bytes | dict):
        for picture in pictures:
            yield from inputs(picture, notes)
    else:
        raise DataError(
            f"A {type(pictures).__name__} is no picture.",
            hint=_part_of(pictures) or "Pass paths, PIL pictures, tensors or arrays.",
        )


def _part_of(pictures: Any) -> str:
    """What to do with several sets by name."""
    several = isinstance(pictures, dict) and any(map(is_table, pictures.values()))
    return f"Give one of its parts: {', '.join(map(repr, pictures))}." if several else ""


def picture_files(folder: Path, notes: list[str] | None = None) -> list[Path]:
    """All pictures below a folder, by their endings, in the order of their names; no hidden ones.

    The other files are counted in `notes`. Raises DataError where there are no pictures.
    """
    shown = readable_name(folder)
    try:
        below = files_below(folder)
    except OSError as error:
        raise DataError(f"{shown} cannot be listed: {readable_name(error)}.") from error
    if below.unlisted:
        raise unlisted_error(below.unlisted, shown)
    lines = left_out(below.others, shown) + seen_again(below.again, shown)
    if not below.pictures:
        raise DataError(
            f"The folder {shown} holds no pictures.",
            hint=" ".join(lines) or "Pictures end with .jpg, .png, .webp, .tif and so on.",
        )
    if notes is not None:
        notes += lines
    return sorted(below.pictures)


def _at(path: Path, notes: list[str] | None) -> Iterator[Picture]:
    if path.suffix == ".npy":
        yield from _in_array(_saved_array(path))
    else:
        yield from picture_files(path, notes) if path.is_dir() else [path]


def _saved_array(path: Path) -> np.ndarray:
    """An array that `numpy.save` wrote, mapped: as large as the file; nothing in it is run."""
    try:
        with files.opened(path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header is read as Python, which may fail in any way
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        fault = f"cannot be read as an array: {readable_name(one_line(reason))}"
        raise DataError(f"{readable_name(path)} {fault}.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{readable_name(path)} holds several arrays.", hint="Save one: numpy.save")
    return array


def _loaded(picture: Image.Image) -> Image.Image:
    """Decoded here: two threads must not decode one picture, and a list may hold it twice."""
    refuse_format(picture, "A picture")
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        name = readable_name(getattr(picture, "filename", "") or "A picture")
        raise DataError(f"{name} cannot be read: {error}.") from error
    return picture


def _in_tensor(tensor: Tensor) -> Iterator[Tensor]:
    if tensor.ndim not in (3, 4):
        shape = tuple(tensor.shape)
        raise DataError(f"A tensor of pictures is (C, H, W) or (N, C, H, W), not {shape}.")
    yield from tensor if tensor.ndim == 4 else [tensor]


def _in_array(array: np.ndarray | Tensor) -> Iterator[Picture]:
    """Pictures of an array or of a tensor of bytes, or of several with four sides."""
    if array.ndim == 3 and 1 not in array.shape and not {3, 4} & {array.shape[0], array.shape[2]}:
        raise DataError(
            f"An array of pictures is (H, W), (H, W, C) or (N, H, W, C), not {tuple(array.shape)}.",
            hint="C is 1, 3 or 4. Grey pictures (N, H, W): array[..., None].",
        )
    if array.ndim != 4:
        yield as_picture(array, "The array")
        return
    for index, row in enumerate(array):
        yield as_picture(row, f"Picture {index} of the array")
