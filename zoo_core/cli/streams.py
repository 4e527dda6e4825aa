"""The streams of a command: whatever a console can show, nothing is lost after the work."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

NO_MEMORY = (  # what the loader, the system and torch say
    "failed to map segment from shared object",
    "annot allocate memory",
    "can't start new thread",
    "not enough memory: you tried to allocate",
)


def make_writable() -> None:
    """Streams that take any text: what an encoding lacks is written as its escape, `\\u732b`.

    A stream that the caller has closed (`zoo list >&-`) swallows what it gets.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
        elif hasattr(stream, "reconfigure"):  # one that stands in for a file may have none
            stream.reconfigure(errors="backslashreplace")


def takes_any_text() -> bool:
    """Whether stdout has all of Unicode: JSON has escapes of its own for where it has not."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").replace("_", "").startswith("utf")


def give_up(stream: Any) -> None:
    """Nobody reads what is left in a stream, or there is no room for it: Python says nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_full(stream: Any) -> bool:
    """Whether a stream still holds what it cannot get rid of."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return True
    return False


def is_short_of_memory(error: BaseException) -> bool:
    """Whether there was no memory: for numbers, a thread, or a library that is loaded."""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)
