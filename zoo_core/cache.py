"""zoo's own cache: where it is, what it remembers, and one writer at a time; and being offline.

A cache may be shared, or lie where other users of the machine can write. Believed without reading
all bytes again is only what this user, or root, wrote and nobody else could change.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zoo_core.errors import WeightsError
from zoo_core.files import opened, written
from zoo_core.humanize import duration, readable_name, without_credentials
from zoo_core.terminal.lines import logger

Fact = TypeVar("Fact")

log = logger(__name__)

OFFLINE = ("ZOO_OFFLINE", "HF_HUB_OFFLINE")
LARGEST_FACT = 2**20  # bytes

_chosen: ContextVar[Path | None] = ContextVar("cache", default=None)
_offline: ContextVar[bool] = ContextVar("offline", default=False)


def cache_folder() -> Path:
    """Where zoo keeps its own files: ZOO_CACHE, else `~/.cache/zoo`. Read at call time."""
    chosen = _chosen.get() or os.environ.get("ZOO_CACHE") or Path.home() / ".cache" / "zoo"
    return Path(chosen).expanduser()


@contextlib.contextmanager
def using_cache(folder: Path) -> Iterator[None]:
    """`folder` is the cache inside."""
    token = _chosen.set(folder)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextlib.contextmanager
def fetching_nothing() -> Iterator[None]:
    """Inside, all is as if there were no network."""
    token = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(token)


def is_offline() -> bool:
    """Whether ZOO_OFFLINE or HF_HUB_OFFLINE is set, or we are inside `fetching_nothing`."""
    return _offline.get() or any(is_set(name) for name in OFFLINE)


def is_set(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")


PATIENCE = 2.0  # seconds that another process may hold a lock before somebody is told
LONGEST = 3600.0  # and before it is given up: a process that stands still holds it for ever


@contextlib.contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold `what` for this process: others that want it wait. The system frees it when we die.

    Who waits is told for what and how long, on stderr. Raises WeightsError where the cache cannot
    be written, and where another process has not let go after an hour.
    """
    from filelock import FileLock, Timeout

    name = hashlib.blake2b(what.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    path = cache_folder() / "locks" / f"{name}.lock"
    shown = readable_name(without_credentials(what))
    try:
        make_folder(path.parent)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            most = duration(LONGEST)
            log.warning("Another process works on %s: waiting for it, %s at most.", shown, most)
            lock.acquire(timeout=LONGEST)
    except Timeout as error:
        raise WeightsError(
            f"Another process has worked on {shown} for over {duration(LONGEST)}.",
            hint=f'End it, if it stands still: "fuser {path}" says which it is.',
        ) from error
    except OSError as error:
        raise unwritable(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(folder: Path, error: OSError) -> WeightsError:
    """The error for a cache that takes no more: read-only, or full."""
    return WeightsError(
        f"The cache {folder} cannot be written: {error.strerror or error}.",
        hint="Free some space, or set ZOO_CACHE (for hf:// also HF_HOME) to a folder of yours.",
    )


# --- whose it is ---------------------------------------------------------------------------------


def make_folder(path: Path) -> None:
    """Make a folder of the cache, and those above it, with the rights that it has. Raises OSError.

    They are this user's alone. In a cache that a group may write to, they are as its own folder is.
    """
    top = cache_folder()
    _say_who_can_write(top)
    rights = _rights(top)
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was first
            folder.mkdir()
            if folder == top or top in folder.parents:
                folder.chmod(rights)


def file_rights() -> int:
    """The mode of a file in the cache, whatever the umask."""
    return _rights(cache_folder()) & 0o644


def _rights(top: Path) -> int:
    """The mode of folders in the cache."""
    try:
        mode = stat.S_IMODE(top.stat().st_mode)
    except OSError:
        return 0o700
    if not mode & stat.S_IWGRP:
        return 0o700
    return mode | stat.S_ISVTX if mode & stat.S_IWOTH else mode


def is_trusted(facts: os.stat_result) -> bool:
    """Whether a file is what this user or root wrote, by what the system says of it."""
    if not hasattr(os, "getuid"):  # Windows keeps users apart by other means
        return True
    return facts.st_uid in (0, os.getuid()) and not facts.st_mode & stat.S_IWOTH


@functools.cache
def _say_who_can_write(top: Path) -> None:
    """Once: that all users may replace what is in the cache."""
    reason = open_to_all(top)
    if reason:
        log.warning("%s", reason)


def open_to_all(top: Path) -> str:
    """Why other users may rename and remove what is in this cache; nothing where they cannot."""
    try:
        mode = top.stat().st_mode
    except OSError:
        return ""
    if not hasattr(os, "getuid") or not mode & stat.S_IWOTH or mode & stat.S_ISVTX:
        return ""
    return f"All users can replace files in the cache {top}: chmod o-w (or +t) it."


# --- what it remembers ---------------------------------------------------------------------------


def recall(place: Path, of: type[Fact]) -> Fact | None:
    """The fact in a file of the cache: a text as it is, all else as JSON; None where there is none.

    Nor is there one where another user wrote it, or could have.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "sizes" / "one.json"
    >>> remember(place, (3, 32, 32))
    >>> recall(place, tuple[int, ...])
    (3, 32, 32)
    """
    try:
        with opened(place) as file:
            if not is_trusted(os.fstat(file.fileno())):
                log.debug("%s is another user's, and not believed", place)
                return None
            body = file.read(LARGEST_FACT)
        fact: Any = body.decode("ascii") if of is str else msgspec.json.decode(body, type=of)
        return fact
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return None


def remember(place: Path, fact: object) -> None:
    """Write a fact for `recall`, whole or not at all. Raises OSError."""
    make_folder(place.parent)
    with written(place) as temporary:
        temporary.write_bytes(
            fact.encode("ascii") if isinstance(fact, str) else msgspec.json.encode(fact)
        )
    with contextlib.suppress(OSError):  # another process has just written it anew
        place.chmod(file_rights())


def remember_if_possible(place: Path, fact: object) -> None:
    """The same where a cache that cannot be written costs time, and is no reason to fail."""
    try:
        remember(place, fact)
    except OSError as error:
        log.debug("%s is not remembered: %s", place, error)
