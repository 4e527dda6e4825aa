"""Files that are whole or not there, that are files and nothing else, and names of folders."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class NoRegularFile(OSError):
    """Raised where a file is expected and something else is there, which might never end."""


def opened(path: Path | str) -> BufferedReader:
    """Open a file to read its bytes: a regular file, and nothing that could wait or never end.

    A name says nothing: `cat.png` may be a pipe that nobody writes to, or a link to a device.
    So it is opened without waiting, and what was opened is looked at.

    Raises NoRegularFile (an OSError, as are a file that is not there and one that may not be read).
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise NoRegularFile(f"is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, no file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def content(path: Path | str, most: int | None = None) -> bytes:
    """The bytes of a regular file: as many as its size says, so that it ends (/proc has size 0).

    Raises NoRegularFile, also where it has more than `most` bytes; OSError where it cannot be read.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise NoRegularFile(f"has {size:,} bytes, more than the {most:,} of such a file")
        return file.read(size)


def hash_of(path: Path | str, name: str = "sha256") -> str:
    """A hash of a regular file, in hex, by its bytes. Raises as `opened`."""
    with opened(path) as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False))
    return found.hexdigest()


def text(path: Path | str, most: int | None = None, encoding: str = "utf-8") -> str:
    """The text of a regular file, line ends as they are: see `content`.

    Raises UnicodeDecodeError where it is none.
    """
    return content(path, most).decode(encoding)


@contextlib.contextmanager
def written(path: Path, *, lasting: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`: renamed to it when all went well, removed when not.

    `lasting`: what is there afterwards, the new bytes or the old ones, survives a power cut; that
    costs the time of the disk, for the file and for its folder.

    Raises OSError where the folder cannot be written or is full; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        if lasting:
            sync(temporary)
        temporary.replace(path)
        if lasting:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk keep a file's bytes, or the names in a folder, now. Raises OSError."""
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":
        return  # it has no such call for folders
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # else its kind of disk keeps names by itself, or never
    finally:
        os.close(handle)


def name_or_path(model: str) -> str | Path:
    """A folder that is there is a path, also without ./ in front; all else is a name."""
    path = Path(model).expanduser()
    return path if path.is_dir() else model


def is_hidden(path: Path) -> bool:
    """Whether the name of a file, or of a folder on the way to it, begins with a dot."""
    return any(name.startswith(".") for name in path.parts)
