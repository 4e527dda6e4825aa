"""The streams of a command: whatever a console can show, nothing is lost after the work."""

from __future__ import annotations

import os
import sys


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
