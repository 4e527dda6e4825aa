"""The command line in this process: what it prints, and its exit code, without torch's import.

The pages of the documentation run the same commands as processes.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from zoo_core.cli import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*words: str | Path) -> Done:
    """`zoo WORDS...`, as if typed where neither stream is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())
