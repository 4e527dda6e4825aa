"""zoo's own cache: where it is, whether the network may be used, and one writer at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from zoo_core.errors import WeightsError

OFFLINE = ("ZOO_OFFLINE", "HF_HUB_OFFLINE")

_chosen: ContextVar[Path | None] = ContextVar("cache", default=None)


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


def is_offline() -> bool:
    """Whether ZOO_OFFLINE or HF_HUB_OFFLINE is set. Read at call time."""
    return any(is_set(name) for name in OFFLINE)


def is_set(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")


@contextlib.contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold `what` for this process: others that want it wait. The system frees it when we die.

    Raises WeightsError where the cache cannot be written.
    """
    from filelock import FileLock

    name = hashlib.blake2b(what.encode(), digest_size=16).hexdigest()
    path = cache_folder() / "locks" / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
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
