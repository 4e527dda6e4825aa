"""Streams on which escape sequences are shown: the net below all that others print.

What zoo prints itself is clean before it comes here, names and all. Libraries and plugins print
through the same streams, and they draw: on a terminal they may, within the lines that are seen.
Nobody sets its title or clipboard, asks it anything, or clears it.
"""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from zoo_core.humanize import readable_text

# colours, moves within and between lines, the end of a line erased, the cursor hidden and shown
_DRAWING = re.compile(r"(\x1b\[[0-9;:]*[mABCDGK]|\x1b\[\?25[hl]|\r)")
_LINE_END = re.compile(r"(\r(?=\n))")


class Shown:
    """A stream whose control characters are shown; `draws`: but for what bars and colours need."""

    def __init__(self, stream: Any, *, draws: bool) -> None:
        self._stream = stream
        self._passes = _DRAWING if draws else _LINE_END

    def write(self, text: str) -> int:
        pieces = self._passes.split(text)  # every second one passes
        shown = (piece if i % 2 else readable_text(piece) for i, piece in enumerate(pieces))
        self._stream.write("".join(shown))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def shown_streams() -> Iterator[None]:
    """Within this, nothing printed by anybody has a terminal do more than show it."""
    with contextlib.ExitStack() as stack:
        for redirect, stream in (
            (contextlib.redirect_stdout, sys.stdout),
            (contextlib.redirect_stderr, sys.stderr),
        ):
            if stream is not None and not stream.closed:
                stack.enter_context(redirect(Shown(stream, draws=stream.isatty())))
        stack.enter_context(_plain_warnings())
        yield


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """A warning draws nothing: libraries name files in theirs."""
    written = warnings.formatwarning
    warnings.formatwarning = lambda *args, **given: readable_text(written(*args, **given))
    yield
    warnings.formatwarning = written


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Within this, what a plugin's code prints goes to stderr as plain text: no output has it."""
    stream = None if sys.stderr is None else Shown(sys.stderr, draws=False)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield
