"""From the bytes of a picture to the picture, and what identifies it without decoding.

Pictures keep the rows and columns that are stored: an EXIF note on how the camera was held is not
followed, as timm and torchvision do not. Of an animation the first frame counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_core import files
from zoo_core.data.digests import digest_of, item_digest
from zoo_core.data.endings import readable_formats
from zoo_core.data.pixels import depth_of, in_eight_bits, is_faint
from zoo_core.data.slivers import refuse_sliver
from zoo_core.errors import DataError
from zoo_core.humanize import one_line, readable_name

LARGEST = 2**30  # bytes of a file of one picture; one with a hole in it costs its author none
HEAD = 32  # bytes of a picture that tell its format, and a PNG's depth


class Encoded:
    """Pictures that are stored as encoded bytes: in files, in a tar, in a table.

    A child says what the bytes are, and what they are called in an error. A digest is computed
    once, and again where another file is there by its `state`. `bits`: how many are used of pixels
    that have more than 8, where a file does not say it.
    """

    def __init__(self, bits: int | None = None) -> None:
        self.bits = bits
        self._digests: dict[int, tuple[Any, bytes]] = {}

    def content(self, index: int) -> bytes:
        raise NotImplementedError

    def name_of(self, index: int) -> str:
        raise NotImplementedError

    def __call__(self, index: int) -> Image.Image:
        return decoded(self.content(index), self.name_of(index), self.bits)

    def read_with_digest(self, index: int) -> tuple[Image.Image, bytes]:
        """A picture, and the digest of the very bytes that it was decoded from."""
        content = self.content(index)
        return decoded(content, self.name_of(index), self.bits), self._digest_of(content)

    def digest(self, index: int) -> bytes:
        if index not in self._digests or self.was_replaced(index):
            state = self.state(index)  # first: a file that is written to meanwhile is read again
            self._digests[index] = state, self._digest_of(self.content(index))
        return self._digests[index][1]

    def _digest_of(self, content: bytes) -> bytes:
        scale = [f"{self.bits} bits".encode()] if self.bits else []
        return digest_of(content, *scale)

    def state(self, index: int) -> Any:
        """What is another once the file of a picture has been written to; None where it is none."""

    def was_replaced(self, index: int) -> bool:
        """Whether a file is there that is not the one whose digest was taken first."""
        return index in self._digests and self.state(index) not in (self._digests[index][0], None)

    def head(self, index: int) -> bytes:
        """The first bytes of a picture, as many as `may_be_deep` wants."""
        return self.content(index)[:HEAD]

    def is_deep(self, index: int) -> bool:
        """Whether a picture has 16 bits for each sample; one that cannot be read has not."""
        try:
            return may_be_deep(self.head(index)) and looked_at(self.content(index)).deep
        except DataError:
            return False

    def is_faint(self, index: int) -> bool:
        """Whether one with 16 bits uses 12 of them at most."""
        try:
            return looked_at(self.content(index), decode=True).faint
        except DataError:
            return False


class Files(Encoded):
    """Reads pictures from files. Raises DataError that names the file."""

    def __init__(self, paths: Sequence[str | Path], bits: int | None = None) -> None:
        super().__init__(bits)
        self.paths = [Path(path) for path in paths]

    def content(self, index: int) -> bytes:
        return file_content(self.paths[index])

    def name_of(self, index: int) -> str:
        return readable_name(self.paths[index])

    def state(self, index: int) -> Any:
        return state_of(self.paths[index])

    def head(self, index: int) -> bytes:
        try:
            with files.opened(self.paths[index]) as opened:
                return opened.read(HEAD)
        except (OSError, ValueError):  # whoever reads it says so
            return b""


class Rows:
    """Reads pictures from an array of bytes (N, H, W) or (N, H, W, 3)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __call__(self, index: int) -> Image.Image:
        return Image.fromarray(self.array[index])

    def read_with_digest(self, index: int) -> tuple[Image.Image, bytes]:
        return self(index), self.digest(index)

    def was_replaced(self, index: int) -> bool:
        return False

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

    def read_with_digest(self, index: int) -> tuple[Any, bytes]:
        return read_with_digest(self.read, self.indices[index])

    def was_replaced(self, index: int) -> bool:
        return was_replaced(self.read, self.indices[index])


def has_digests(read: Callable[[int], Any]) -> bool:
    """Whether a reader knows what identifies a picture without decoding it."""
    return hasattr(read, "digest")


def read_with_digest(read: Callable[[int], Any], index: int) -> tuple[Any, bytes]:
    """What a reader gives, and the digest of just that: a file may be another in the next moment.

    Raises DataError.
    """
    if hasattr(read, "read_with_digest"):
        item, digest = read.read_with_digest(index)
        return item, digest
    item = read(index)
    return item, item_digest(item)


def was_replaced(read: Callable[[int], Any], index: int) -> bool:
    """Whether a file is another than when its digest was taken, where a reader can know."""
    return hasattr(read, "was_replaced") and bool(read.was_replaced(index))


def state_of(path: Path) -> Any:
    """What changes when a file is written to, or another takes its place; None for no file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


# --- bytes ---------------------------------------------------------------------------------------


def read_picture(path: Path, bits: int | None = None) -> Image.Image:
    """The picture in a file, decoded; `bits` as of `Encoded`.

    Raises DataError where it is missing, no picture, or cut short, and where it is not known what
    its pixels mean.
    """
    return decoded(file_content(path), readable_name(path), bits)


def file_content(path: Path) -> bytes:
    """The bytes of a file. Raises DataError that names it."""
    name = readable_name(path)
    try:
        return files.content(path, most=LARGEST)
    except FileNotFoundError as error:
        raise DataError(f"No picture at {name}.") from error
    except files.NoRegularFile as error:
        if not path.is_dir():
            raise DataError(f"{name} {error}.", hint="A picture is a file.") from error
        raise DataError(f"{name} is a folder.", hint=f"Name its pictures: {name}/*") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {readable_name(str(error))}.") from error


def decoded(content: bytes, name: str, bits: int | None = None) -> Image.Image:
    """The picture that `content` encodes, with 8 bits a plane; `name` stands for it in a DataError.

    `bits` as of `Encoded`.
    """
    try:
        with opened_picture(content) as picture:
            refuse_sliver(picture.size, name)
            depth = depth_of(picture, content)
            picture.load()
            return in_eight_bits(picture, name, depth, bits)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        hint = "Make it smaller; if you trust it, set PIL.Image.MAX_IMAGE_PIXELS in Python."
        raise DataError(f"{name} cannot be read: {error}", hint=hint) from error
    except UnidentifiedImageError as error:
        fault = "is no picture that can be read" if content else "is empty"
        raise DataError(f"{name} {fault}.", hint="Remove it, or save it again as PNG.") from error
    except Exception as error:  # damaged pictures make Pillow raise almost anything
        hint = "Remove it, or save it again."
        raise DataError(f"{name} cannot be read: {one_line(error)}.", hint=hint) from error


def opened_picture(content: bytes) -> Image.Image:
    """A picture whose header is read, of a format that is decoded in this process.

    Its content says which that is, not its name. Raises what Pillow raises.
    """
    return Image.open(io.BytesIO(content), formats=readable_formats())


def refuse_other_formats(content: bytes, name: str) -> None:
    """Raise DataError for what is of no format that is decoded here; nothing is decoded."""
    try:
        opened_picture(content).close()
    except Exception as error:  # as in decoded()
        raise DataError(f"{name} cannot be read: {one_line(error)}.") from error


class Looked(NamedTuple):
    """What a look at a picture tells: has it 16 bits a sample, and uses 12 of them at most."""

    deep: bool
    faint: bool = False


def looked_at(content: bytes, *, decode: bool = False) -> Looked:
    """A look at the header of a picture, and at its values with `decode`.

    What cannot be read has nothing: whoever reads it says so.
    """
    try:
        with opened_picture(content) as picture:
            depth = depth_of(picture, content)
            if not depth.deep or not decode:
                return Looked(depth.deep)
            picture.load()
            return Looked(True, is_faint(picture, depth))
    except Exception:  # as in decoded()
        return Looked(False)


def may_be_deep(head: bytes) -> bool:
    """Whether a file that begins so may have 16 bits for each sample: most have not."""
    if head.startswith(b"\x89PNG"):
        return head[24:25] == b"\x10"
    return head.startswith((b"II", b"MM", b"P2", b"P5", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP"))
