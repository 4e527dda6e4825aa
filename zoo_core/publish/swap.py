"""A folder that changes from what it was to what it will be at once, also where it is killed.

What is new is written beside it, completely, and then both change places in one step of the
system. Where that cannot be (the current folder, a mount, a file system that cannot do it) the
complete files are renamed into it one after another: for that moment it has some of both.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

_EXCHANGE = {"linux": ("renameat2", -100, 2), "darwin": ("renameatx_np", -2, 2)}


@contextlib.contextmanager
def replaced_folder(path: Path, own: Collection[str]) -> Iterator[Path]:
    """A new folder to write files into: they are in `path` when all went well, else nothing is.

    `own`: names of files that are written, or are gone then. What else is in `path` stays. Raises
    OSError where the folder cannot be written; it is then as it was.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside_or_inside(path) as place:
        draft = place / path.name
        draft.mkdir()
        yield draft
        _synced(draft)
        if not _in_one_step(draft, path, own):
            _one_by_one(draft, path, own)
        _synced(path.parent, files=False)


@contextlib.contextmanager
def _beside_or_inside(path: Path) -> Iterator[Path]:
    """A temporary folder on the disk of `path`."""
    try:
        made = tempfile.mkdtemp(dir=path.parent, prefix=".zoo-")
    except OSError:  # the folder above is not ours
        made = tempfile.mkdtemp(dir=path, prefix=".zoo-")
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _in_one_step(draft: Path, path: Path, own: Collection[str]) -> bool:
    """Put `draft` in the place of `path`, with all that is not `own`; whether that could be."""
    if not path.exists():
        draft.rename(path)
        return True
    if draft.parent.parent != path.parent or sys.platform not in _EXCHANGE:
        return False
    try:
        if not _may_move(path):
            return False
        _link_all(path, draft, own)
        _exchange(draft, path)
    except OSError:  # shutil.Error is one
        return False
    return True


def _may_move(path: Path) -> bool:
    """Whether nobody stands in a folder that we know of, and it is this user's own."""
    here = Path.cwd()
    if path in (here, *here.parents) or path.is_mount():
        return False
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _link_all(source: Path, target: Path, own: Collection[str]) -> None:
    """What is in `source`, in `target` too: the same files under a second name."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return set(names) & set(own) if Path(folder) == source else set()

    shutil.copytree(
        source, target, symlinks=True, ignore=left_out, copy_function=os.link, dirs_exist_ok=True
    )


def _exchange(one: Path, other: Path) -> None:
    """Two names change what they stand for, at once. Raises OSError."""
    name, here, flag = _EXCHANGE[sys.platform]
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:  # a C library of before 2018
        raise OSError("two folders cannot change places here")
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    if function(here, names[0], here, names[1], ctypes.c_uint(flag)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _one_by_one(draft: Path, path: Path, own: Collection[str]) -> None:
    written = {file.name for file in draft.iterdir()} & set(own)
    for name in sorted(written, reverse=True):  # weights before the config that describes them
        (draft / name).replace(path / name)
    for name in set(own) - written:
        (path / name).unlink(missing_ok=True)
    _synced(path, files=False)


def _synced(folder: Path, *, files: bool = True) -> None:
    """What was written is on the disk, also after a power cut; where a disk can say that."""
    for path in (*(folder.iterdir() if files else ()), folder):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
