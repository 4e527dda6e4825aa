"""How many processes that read pictures have room: open files, and shared memory for batches.

Where there is none, a reader can send nothing; so this is looked at before they start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from zoo_core.humanize import byte_size

SHARED = Path("/dev/shm")  # where Linux has its shared memory
PLENTY = 2**30  # bytes: with so many free nobody measures a batch
AHEAD = 2  # batches that a reader has ready: torch's own number
OPEN_FILES = 13  # of a reader for training and one for validation, and of the batches on their way
OWN_FILES = 24  # what a training opens itself


def with_room(count: int, batch: Callable[[], int]) -> tuple[int, str]:
    """How many of `count` readers have room, and in a line why not all. `batch`: bytes of one."""
    most, why = count, ""
    for room, reason in (_by_files(), _by_memory(count, batch)):
        if room < most:
            most, why = room, reason
    if most == count:
        return count, ""
    instead = f"{most} of {count} processes read" if most else "no other process reads"
    return most, f"{why}: {instead} pictures."


def _by_files() -> tuple[int, str]:
    """How many may be opened, with those that are open already."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/dev/fd"))  # noqa: PTH208
    except (ImportError, OSError):  # Windows, or a system that does not tell
        return 2**31, ""
    if limit == resource.RLIM_INFINITY:
        return 2**31, ""
    return max(
        limit - used - OWN_FILES, 0
    ) // OPEN_FILES, f"Only {limit} files may be open (ulimit -n)"


def _by_memory(count: int, batch: Callable[[], int]) -> tuple[int, str]:
    """A reader has a few batches ready, and one more is in use."""
    try:
        free = shutil.disk_usage(SHARED).free
    except OSError:
        return 2**31, ""
    if free >= PLENTY:
        return 2**31, ""
    size = max(batch(), 1)
    room = (free - 2 * size) // ((AHEAD + 1) * size)
    why = f"{SHARED} has {byte_size(free)} free, and a batch takes {byte_size(size)}"
    return max(room, 0), f"{why} (docker: --shm-size)"
