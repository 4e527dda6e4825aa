"""What goes on in a process that reads pictures.

It hears no signal that its parent hears as well, and ends when the parent has ended, however that
came. It counts the pictures it has read, so that its parent can see that it does not stand still.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import multiprocessing.queues
import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from zoo_core.terminal.lines import say

NO_SHARED_MEMORY, NO_FILES, NOT_SENT = 87, 88, 89  # how a reader exits that cannot send a batch
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

_counts: Any = None  # of the pictures that each reader has read; none where this is no reader
_number = 0


def count_a_picture() -> None:
    """A picture has been read; where this is no reader, nothing happens."""
    if _counts is not None:
        _counts[_number] += 1


class Begin(NamedTuple):
    """What a reader does first. `counts`: a shared array, with a place for each reader.

    `in_main`: whether the main thread of its parent has started it. Linux sends the signal for the
    end of a parent at the end of the thread that was the parent.
    """

    counts: Any
    in_main: bool

    def __call__(self, number: int) -> None:
        global _counts, _number
        _counts, _number = self.counts, number
        for name in (signal.SIGINT, signal.SIGTERM):  # they go to all; the parent ends its readers
            signal.signal(name, signal.SIG_IGN)
        with contextlib.suppress(RuntimeError):  # there may be no memory for a thread
            threading.Thread(target=_end_with_the_parent, daemon=True).start()
        if self.in_main and sys.platform == "linux":
            ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        queue = multiprocessing.queues.Queue
        queue._on_queue_feeder_error = staticmethod(_end_unsent)  # type: ignore[attr-defined]


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_unsent(error: BaseException, batch: Any) -> None:
    """A batch that cannot be sent is lost, and its parent would wait for it for ever."""
    text = str(error)
    if "shared memory" in text or getattr(error, "errno", None) == errno.ENOSPC:
        os._exit(NO_SHARED_MEMORY)
    if "Too many open files" in text or getattr(error, "errno", None) == errno.EMFILE:
        os._exit(NO_FILES)
    say(f"A batch cannot be sent: {type(error).__name__}: {error}")
    os._exit(NOT_SENT)


class Failed(NamedTuple):
    """In the place of a batch: what went wrong, as it was raised."""

    error: Exception


class Told(Dataset[Any]):
    """Samples, whose errors come to the parent as they are, not as the text of a traceback."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, keys: Sequence[Any]) -> Any:
        try:
            return self.samples.__getitems__(keys)
        except Exception as error:
            if not _can_be_sent(error):
                raise
            return Failed(ExceptionWithTraceback(error, error.__traceback__))


def _can_be_sent(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
