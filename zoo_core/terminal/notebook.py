"""A notebook: lines and bars are outputs of the cell that runs, and none of them is an error.

Its frontend shows in red what goes to stderr. So lines go to stdout there, and a bar is an output
that is drawn anew in its place, which needs no widgets and is kept with the notebook.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from typing import Any


def in_notebook() -> bool:
    """Whether this is the process of a notebook's kernel, and stderr goes to its frontend."""
    if type(sys.stderr).__module__.partition(".")[0] != "ipykernel":
        return False
    import multiprocessing  # not for a command that only lists

    return multiprocessing.parent_process() is None


class Output:
    """An output of the cell that runs. Each drawing takes the place of the one before."""

    _handle: Any = None

    def draw(self, html: str, text: str) -> None:
        """Show `html`, or `text` where a frontend knows no HTML."""
        from IPython.display import display

        drawn = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(drawn, raw=True, display_id=True)
        else:
            self._handle.update(drawn, raw=True)


def no_word_on_widgets() -> None:
    """Load tqdm, which others of zoo's libraries load, without its warning that widgets lack.

    It falls back to plain text by itself, and nothing of zoo needs them.
    """
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("tqdm.auto")
