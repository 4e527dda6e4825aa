"""Processes that a demo trains in: one thread each, and none of them outlives the demo."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

import torch


def cores() -> int:
    """How many are used: eight at most."""
    return min(os.cpu_count() or 1, 8)


def workers() -> ProcessPoolExecutor:
    """A process per core with one thread: the tensors of a demo are too small for two to share."""
    return ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn"), begin)


def begin() -> None:
    """What such a process does first."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A training takes SIGTERM as a wish to end an epoch, and the next job would follow."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
