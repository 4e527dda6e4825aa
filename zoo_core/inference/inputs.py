"""What people call pictures (files, folders, PIL, tensors, arrays) -> one picture at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from zoo_core.data.decoding import ENDINGS
from zoo_core.errors import DataError
from zoo_core.files import is_hidden

Picture = Path | Image.Image | Tensor
"""A file, a PIL picture, or a tensor (C, H, W) that counts as preprocessed."""

CHANNELS = (1, 3, 4)


def inputs(pictures: Any) -> Iterator[Picture]:
    """Each picture of what is given, in order; files are not read yet.

    `pictures`: a path of a file, or of a folder, with all pictures below it in the order of their
    names; a PIL picture; a float tensor (C, H, W) or (N, C, H, W); an array of bytes (H, W),
    (H, W, C) or (N, H, W, C) with 1, 3 or 4 channels, or the path of a .npy file with one; or an
    iterable of those, such as a generator. Raises DataError for anything else.

    >>> [picture.size for picture in inputs(np.zeros((2, 28, 20, 3), np.uint8))]
    [(20, 28), (20, 28)]
    """
    if isinstance(pictures, str | Path):
        yield from _at(Path(pictures).expanduser())
    elif isinstance(pictures, Image.Image):
        yield _loaded(pictures)
    elif isinstance(pictures, Tensor):
        yield from _in_tensor(pictures)
    elif isinstance(pictures, np.ndarray):
        yield from _in_array(pictures)
    elif isinstance(pictures, Iterable) and not isinstance(pictures, bytes | dict):
        for picture in pictures:
            yield from inputs(picture)
    else:
        raise DataError(
            f"A {type(pictures).__name__} is no picture.",
            hint="Pass paths, PIL pictures, tensors or arrays.",
        )


def picture_files(folder: Path) -> list[Path]:
    """All pictures below a folder, by their endings, in the order of their names; no hidden ones.

    Raises DataError where there are none.
    """
    named = [path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS]
    files = [path for path in named if path.is_file() and not is_hidden(path.relative_to(folder))]
    if not files:
        raise DataError(
            f"The folder {folder} holds no pictures.",
            hint=f"Pictures are files that end with {', '.join(ENDINGS)}.",
        )
    return sorted(files)


def _at(path: Path) -> Iterator[Picture]:
    if path.suffix == ".npy":
        yield from _in_array(_saved_array(path))
    else:
        yield from picture_files(path) if path.is_dir() else [path]


def _saved_array(path: Path) -> np.ndarray:
    """An array that `numpy.save` wrote, mapped; nothing in it is run."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read as an array: {reason}.") from error


def _loaded(picture: Image.Image) -> Image.Image:
    """Decoded here: two threads must not decode one picture, and a list may hold it twice."""
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        name = getattr(picture, "filename", "") or "A picture"
        raise DataError(f"{name} cannot be read: {error}.") from error
    return picture


def _in_tensor(tensor: Tensor) -> Iterator[Tensor]:
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise DataError(
            f"A tensor counts as preprocessed and holds floats; this one holds {dtype}.",
            hint="Pass bytes as a numpy array (H, W, C), or what model.transform() makes.",
        )
    if tensor.ndim not in (3, 4):
        shape = tuple(tensor.shape)
        raise DataError(f"A tensor of pictures is (C, H, W) or (N, C, H, W), not {shape}.")
    yield from tensor if tensor.ndim == 4 else [tensor]


def _in_array(array: np.ndarray) -> Iterator[Image.Image]:
    if array.dtype != np.uint8:
        raise DataError(
            f"An array of pictures holds bytes (uint8), 0 to 255; this one holds {array.dtype}.",
            hint="From 0 to 1: (array * 255).round().astype('uint8'). Preprocessed: as a tensor.",
        )
    if array.ndim not in (2, 3, 4) or (array.ndim > 2 and array.shape[-1] not in CHANNELS):
        raise DataError(
            f"An array of pictures is (H, W), (H, W, C) or (N, H, W, C), not {array.shape}.",
            hint="C is 1, 3 or 4. Grey pictures (N, H, W): array[..., None]; (C, H, W): transpose.",
        )
    for row in array if array.ndim == 4 else [array]:
        yield Image.fromarray(row[..., 0] if row.ndim == 3 and row.shape[-1] == 1 else row)
