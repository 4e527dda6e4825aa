"""Signals and the clock: when a training saves, and how it is stopped."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType


class Awaited(Exception):
    """A signal came while a batch was waited for, between two steps."""


class Interrupts:
    """Ctrl-C and SIGTERM wait inside, so that a step ends before the training does.

    `caught`: the number of the signal that came, or None. A second one does not wait. Outside the
    main thread nothing changes.
    """

    def __init__(self) -> None:
        self.caught: int | None = None

    def __enter__(self) -> Interrupts:
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            raise _end(number)
        self.caught = number

    def raise_caught(self) -> None:
        """End as the signal wants: KeyboardInterrupt, or SystemExit with 128 + its number."""
        if self.caught is not None:
            raise _end(self.caught)

    def leave_the_wait(self) -> None:
        """Raise Awaited where a signal came: who waits for a batch is in no step."""
        if self.caught is not None:
            raise Awaited


def _end(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


class Clock:
    """When it is time to save again."""

    def __init__(self) -> None:
        self.saved = time.monotonic()

    def is_due(self, seconds: float) -> bool:
        """Whether so many seconds have gone by since the last save."""
        return time.monotonic() - self.saved >= seconds

    def restart(self) -> None:
        """A save was made just now."""
        self.saved = time.monotonic()
