"""Whether processes that read pictures stand still, while somebody waits for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_core.errors import DataError
from zoo_core.humanize import duration

LOOK = 1.0  # seconds between two looks
STOPPED = 60.0  # seconds that a reader may be stopped from outside (SIGSTOP)
STILL = 300.0  # seconds that one picture may take: a slow disk on a network takes one


class Standstill:
    """How long one has waited without a picture being read.

    `counts`: how many each reader has read. A batch may take any time, as long as pictures are read
    for it. What counts is the time that this process was awake: where all are stopped together
    (Ctrl-Z) and go on later, nobody stood still.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts, self.read = counts, sum(counts)
        self.waited = self.stopped = 0.0

    def over(self) -> None:
        """A batch has come."""
        self.waited = self.stopped = 0.0

    def look(self, readers: Sequence[Any], seconds: float) -> None:
        """Nothing came for so many seconds more from `readers`.

        Raises DataError where they have been stopped for a minute, or none has read a picture for
        five.
        """
        seconds, read = min(seconds, 2 * LOOK), sum(self.counts)
        self.waited = self.waited + seconds if read == self.read else 0.0
        self.read = read
        stopped = [reader for reader in readers if _is_stopped(reader.pid)]
        self.stopped = self.stopped + seconds if stopped else 0.0
        if self.stopped > STOPPED:
            raise DataError(
                f"A process that reads pictures (pid {stopped[0].pid}) has been stopped for "
                f"{duration(self.stopped)}.",
                hint=f"Somebody sent it SIGSTOP, and `kill -CONT {stopped[0].pid}` would have "
                "sent it on; or read in this process: workers=0 (--workers 0).",
            )
        if self.waited > STILL:
            raise DataError(
                f"A process that reads pictures (pid {readers[0].pid}) has read none for "
                f"{duration(self.waited)}.",
                hint="It may wait for a disk or a network that does not answer, or for a lock; or "
                "read in this process: workers=0 (--workers 0).",
            )


def _is_stopped(pid: int) -> bool:
    import psutil  # comes with accelerate

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
