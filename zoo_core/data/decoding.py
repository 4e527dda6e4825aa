"""From the bytes of a picture to the picture, and what identifies it without decoding.

Pictures keep the rows and columns that are stored: an EXIF note on how the camera was held is not
followed, as timm and torchvision do not. Of an animation the first frame counts.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from zoo_core.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Encoded:
    """Pictures that are stored as encoded bytes: in files, in a tar, in a table.

    A child says what the bytes are, and what they are called in an error. Each digest is computed
    once.
    """

    def __init__(self) -> None:
        self._digests: dict[int, bytes] = {}

    def content(self, index: int) -> bytes:
        raise NotImplementedError

    def name_of(self, index: int) -> str:
        raise NotImplementedError

    def __call__(self, index: int) -> Image.Image:
        return decoded(self.content(index), self.name_of(index))

    def digest(self, index: int) -> bytes:
        if index not in self._digests:
            self._digests[index] = digest_of(self.content(index))
        return self._digests[index]


class Files(Encoded):
    """Reads pictures from files. Raises DataError that names the file."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        super().__init__()
        self.paths = [Path(path) for path in paths]

    def content(self, index: int) -> bytes:
        return file_content(self.paths[index])

    def name_of(self, index: int) -> str:
        return str(self.paths[index])


class Rows:
    """Reads pictures from an array of bytes (N, H, W) or (N, H, W, 3)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __call__(self, index: int) -> Image.Image:
        return Image.fromarray(self.array[index])

    def digest(self, index: int) -> bytes:
        row = self.array[index]
        return digest_of(repr(row.shape).encode(), row.tobytes())


class Chosen:
    """Reads the pictures of another reader that stand at `indices`, in that order."""

    def __init__(self, read: Callable[[int], Any], indices: list[int]) -> None:
        self.read, self.indices = read, indices

    def __call__(self, index: int) -> Any:
        return self.read(self.indices[index])

    @property
    def digest(self) -> Callable[[int], bytes]:
        digest = getattr(self.read, "digest")  # noqa: B009 (no attribute here either, if not there)
        return lambda index: digest(self.indices[index])


def has_digests(read: Callable[[int], Any]) -> bool:
    """Whether a reader knows what identifies a picture without decoding it."""
    return hasattr(read, "digest")


# --- bytes ---------------------------------------------------------------------------------------


def read_picture(path: Path) -> Image.Image:
    """The picture in a file, decoded.

    Raises DataError where it is missing, no picture, or cut short.
    """
    return decoded(file_content(path), str(path))


def file_content(path: Path) -> bytes:
    """The bytes of a file. Raises DataError that names it."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"No picture at {path}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder.", hint=f"Name its pictures: {path}/*") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def decoded(content: bytes, name: str) -> Image.Image:
    """The picture that `content` encodes; `name` stands for it in a DataError."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            return picture
    except UnidentifiedImageError as error:
        fault = "is no picture that can be read" if content else "is empty"
        raise DataError(f"{name} {fault}.", hint="Remove it, or save it again as PNG.") from error
    except Exception as error:  # damaged pictures make Pillow raise almost anything
        hint = "Remove it, or save it again."
        raise DataError(f"{name} cannot be read: {error}.", hint=hint) from error


# --- digests -------------------------------------------------------------------------------------


def digest_of(*parts: bytes) -> bytes:
    """16 bytes that identify a content (BLAKE2b).

    >>> digest_of(b"cat") == digest_of(b"c", b"at") != digest_of(b"dog")
    True
    """
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def item_digest(item: Any) -> bytes:
    """What identifies a picture, or a tensor, that is decoded already.

    Raises DataError where it is neither.
    """
    if isinstance(item, Tensor):
        flat = item.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return digest_of(f"{item.dtype}{tuple(item.shape)}".encode(), flat.numpy().tobytes())
    if isinstance(item, Image.Image):
        head = f"{item.mode}{item.size}{item.getpalette()}".encode()
        return digest_of(head, item.tobytes())
    raise DataError(f"A {type(item).__name__} is neither a PIL picture nor a tensor.")
