"""Lines for people, and messages of loggers: names in them are shown, never obeyed."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

from zoo_core.humanize import readable_name
from zoo_core.terminal.notebook import in_notebook


def say(text: object) -> None:
    """One line on stderr, whatever stands in it; where that is closed or full, work goes on.

    In a notebook on stdout: what is on stderr looks like an error there.
    """
    stream = sys.stdout if in_notebook() else sys.stderr
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            print(readable_name(text), file=stream, flush=True)


def logger(name: str) -> logging.Logger:
    """The logger of that name, whose records hold readable names."""
    log = logging.getLogger(name)
    log.addFilter(_readable)  # the same function again changes nothing
    return log


def _readable(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            readable_name(value) if isinstance(value, str | Path | BaseException) else value
            for value in record.args
        )
    return True
