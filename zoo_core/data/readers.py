"""Processes that read pictures, and what keeps them from starting, in one line.

Where processes are forked, a reader has all that its parent has. Elsewhere (macOS, Windows, or by
choice) it is sent the data, and runs the script that started it anew, up to its main guard.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from zoo_core.errors import DataError
from zoo_core.humanize import one_line

ENDED = "DataLoader worker"  # so torch begins
UNGUARDED = 86  # how a reader exits that finds itself at the work of its parent


class Readers(DataLoader[Any]):
    """A DataLoader that says why its processes cannot start."""

    def __iter__(self) -> Any:
        try:
            return super().__iter__()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            text = one_line(error)
            if not self.num_workers or not ("pickle" in text or "local object" in text):
                raise
            raise DataError(
                f"The data cannot be sent to the processes that read pictures: {text.rstrip('.')}.",
                hint="Put functions at the top level of a file, not a lambda or one in a function; "
                "or read in this process: workers=0 (--workers 0).",
            ) from error
        except (OSError, EOFError) as error:
            if not self.num_workers or _forked():
                raise
            raise _not_begun() from error


def leave_where_a_script_runs_anew() -> None:
    """End this process where it is a reader that is still starting, and so runs a script again.

    Its parent says what is wrong; the same line from each of the readers would be no help.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(UNGUARDED)


@contextlib.contextmanager
def readers_watched() -> Iterator[None]:
    """Raises DataError where a process that reads pictures was ended.

    torch raises its error wherever this process happens to be then.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(ENDED):
            raise
        if f"exit code {UNGUARDED}" in str(error) or _is_unguarded(error):
            raise _not_begun() from error
        raise DataError(
            f"A process that reads pictures was ended: {one_line(error).rstrip('.')}.",
            hint="Where memory is short, take fewer: workers=1, or 0 for none (--workers).",
        ) from error


def _is_unguarded(error: BaseException) -> bool:
    """Whether a reader left by itself; torch names the code of the first one, and not always."""
    trace = error.__traceback__
    while trace is not None:
        workers = getattr(trace.tb_frame.f_locals.get("self"), "_workers", ())
        if any(getattr(worker, "exitcode", None) == UNGUARDED for worker in workers):
            return True
        trace = trace.tb_next
    return False


def _forked() -> bool:
    return multiprocessing.get_start_method() == "fork"


def _not_begun() -> DataError:
    return DataError(
        "The processes that read pictures run this script again, and so cannot start.",
        hint='Put what the script does under `if __name__ == "__main__":`; or read in this process:'
        " workers=0.",
    )
