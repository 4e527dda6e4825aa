"""What a Dataset or a person gives as a picture -> a PIL picture, or a preprocessed tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import StubImageFile
from torch import Tensor

from zoo_core.data.endings import readable_formats
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name

CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


def as_picture(item: Any, name: str) -> Image.Image | Tensor:
    """One picture as what the transform of a model takes, or a float tensor as it is.

    `item`: a PIL picture; an array (H, W), (H, W, C) or (C, H, W) of uint8, or of floats from 0 to
    1; a tensor of uint8 in the same layouts; a floating tensor, which counts as preprocessed. C is
    1, 3 or 4. `name` stands for it in a DataError, which is raised for anything else, and where it
    is not certain which side of an array the channels are.

    >>> as_picture(np.zeros((3, 20, 28), np.uint8), "It").size
    (28, 20)
    >>> as_picture(np.full((2, 2), 0.5), "It").getpixel((0, 0))
    128
    """
    if isinstance(item, Image.Image):
        refuse_format(item, name)
        return item
    if isinstance(item, Tensor) and item.is_floating_point():
        return item
    if not isinstance(item, Tensor | np.ndarray):
        raise DataError(
            f"{name} is no picture but a {type(item).__name__}.",
            hint="A picture is a PIL picture, an array, or a tensor.",
        )
    array = item.detach().cpu().numpy() if isinstance(item, Tensor) else item
    return Image.fromarray(_as_bytes(_channels_last(array, name), name))


def refuse_format(picture: Image.Image, name: str) -> None:
    """Raise DataError for a picture that is open, not decoded, and of a format that zoo reads not.

    To decode it Pillow might start a program: EPS is drawn by Ghostscript.
    """
    waits = isinstance(picture, StubImageFile) or bool(getattr(picture, "tile", ()))
    if waits and picture.format not in (*readable_formats(), "MPO"):
        name = readable_name(getattr(picture, "filename", "") or name)
        raise DataError(
            f"{name} is a picture of {picture.format}, which is not decoded here.",
            hint="Decode it yourself if you trust it, picture.load(), or save it as PNG.",
        )


def _channels_last(array: np.ndarray, name: str) -> np.ndarray:
    """(H, W) or (H, W, C); one channel is dropped, as PIL has it."""
    if array.size == 0 or array.ndim not in (2, 3):
        raise _other_shape(array, name)
    if array.ndim == 2:
        return array
    first, last = array.shape[0] in CHANNELS, array.shape[2] in CHANNELS
    if first and last:
        raise DataError(
            f"{name} is {array.shape}: its channels may be the first or the last side.",
            hint="Give it as a PIL picture: Image.fromarray(array), with the channels last.",
        )
    if not first and not last:
        raise _other_shape(array, name)
    array = array.transpose(1, 2, 0) if first else array
    return array[..., 0] if array.shape[2] == 1 else array


def _other_shape(array: np.ndarray, name: str) -> DataError:
    return DataError(
        f"{name} is {array.shape}; a picture is (H, W), (H, W, C) or (C, H, W).",
        hint="C is 1, 3 or 4; other channels go in a floating tensor, as preprocessed.",
    )


def _as_bytes(array: np.ndarray, name: str) -> np.ndarray:
    """The array as contiguous uint8. Raises DataError where that would take a guess."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"{name} holds {array.dtype}; pictures are uint8, or floats from 0 to 1.",
            hint="Scale it: from 0 to 255, array.astype('uint8'); from 0 to M, array / M.",
        )
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # as NaN is neither
        found = "NaN" if np.isnan(low) else f"{low:g} to {high:g}"
        raise DataError(
            f"{name} holds {found}; an array of floats is a picture where they are from 0 to 1.",
            hint="From 0 to 255: array / 255. Preprocessed: torch.from_numpy(array) (C, H, W).",
        )
    return np.ascontiguousarray((array.astype(np.float64) * 255).round().astype(np.uint8))
