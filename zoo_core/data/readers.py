"""Processes that read pictures: how they end, and what keeps them from starting, in one line.

Where processes are forked, a reader has all that its parent has. Elsewhere (macOS, Windows, or by
choice) it is sent the data, and runs the script that started it anew, up to its main guard.

However a training ends, its readers end: they are told to, and killed where they do not hear.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import multiprocessing
import os
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from zoo_core.data.reader import NO_FILES, NO_SHARED_MEMORY, Begin, Failed
from zoo_core.data.standstill import LOOK, Standstill
from zoo_core.errors import DataError
from zoo_core.humanize import one_line

ENDED = "DataLoader worker"  # so torch begins
UNGUARDED = 86  # how a reader exits that finds itself at the work of its parent
BUS_ERROR = 7  # the signal of memory that is not there: what is shared, where that is full
GRACE = 1.0  # seconds for readers to end by themselves; then they are killed


class Readers(DataLoader[Any]):
    """A DataLoader whose processes end, and which says why where they cannot start.

    `waiting`: called each second in which no batch comes.
    """

    waiting: Callable[[], None] | None = None

    def __iter__(self) -> Any:
        before = set(multiprocessing.active_children()) if self.num_workers else set()
        try:
            return super().__iter__()
        except BaseException as error:
            if self.num_workers and self._iterator is None:
                _kill(set(multiprocessing.active_children()) - before)
            if self.num_workers and isinstance(error, Exception):
                self._explain(error)
            raise

    def _get_iterator(self) -> Any:
        if not self.num_workers:
            return super()._get_iterator()
        counts = multiprocessing.RawArray("Q", self.num_workers)
        in_main = threading.current_thread() is threading.main_thread()
        self.worker_init_fn: Any = Begin(counts, in_main)
        return _Reading(self, counts)

    def close(self) -> None:
        """End the processes; the next pass would start new ones."""
        iterator: Any = self._iterator
        self._iterator = None
        if iterator is not None:
            iterator._shutdown_workers()

    def _explain(self, error: Exception) -> None:
        """Raise DataError where an error at the start is a known one."""
        text = one_line(error)
        if isinstance(error, pickle.PicklingError | AttributeError | TypeError):
            if "pickle" in text or "local object" in text:
                raise DataError(
                    "The data cannot be sent to the processes that read pictures: "
                    f"{text.rstrip('.')}.",
                    hint="Put functions at the top level of a file, not a lambda or one in a "
                    "function; or read in this process: workers=0 (--workers 0).",
                ) from error
        elif isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise _without(NO_FILES) from error
        elif _is_no_room(error):
            raise DataError(
                f"The processes that read pictures cannot start: {text.rstrip('.')}.",
                hint="Where memory or the number of processes (ulimit -u) is limited, take fewer: "
                "workers=1, or 0 for none (--workers).",
            ) from error
        elif isinstance(error, OSError | EOFError) and not _forked():
            raise _not_begun() from error


class _Reading(_MultiProcessingDataLoaderIter):
    """torch's reading of batches, with an eye on the processes while it waits for them.

    torch looks up from its wait each second; but a batch is handed over by a thread of its reader,
    and where that stands still, nobody looks up: then `_watch` ends the wait.
    """

    def __init__(self, loader: Readers, counts: Any) -> None:
        self.loader, self.standstill, self.pid = loader, Standstill(counts), os.getpid()
        self.asked: float | None = None
        self.found: Exception | None = None
        _all.add(self)
        super().__init__(loader)
        with contextlib.suppress(RuntimeError):  # there may be no memory for a thread
            threading.Thread(target=_watch, args=[weakref.ref(self)], daemon=True).start()

    def _try_get_data(self, timeout: float = LOOK) -> tuple[bool, Any]:
        self.asked = asked = time.monotonic()
        try:
            found, batch = super()._try_get_data(min(timeout, LOOK))
        except Exception as error:
            if self.found is not None:
                raise self.found from error
            raise
        finally:
            self.asked = None
        if found:
            self.standstill.over()
        else:
            self.look(time.monotonic() - asked)
        return found, batch

    def look(self, seconds: float) -> None:
        """Nothing came for so many seconds more; raises what ends the wait."""
        if self.loader.waiting is not None:
            self.loader.waiting()
        waited_for = self._task_info.get(self._rcvd_idx, ())[:1]
        self.standstill.look([self._workers[i] for i in waited_for] or self._workers, seconds)

    def look_up(self) -> None:
        """End a wait that does not look up by itself, where it has to end."""
        if self.asked is None or time.monotonic() - self.asked < 3 * LOOK:
            return
        try:
            self.look(LOOK)
        except Exception as error:
            self.found = error
            self._kill()  # so the wait sees the end of what it waits for

    def _kill(self) -> None:
        if self._worker_pids_set:  # their death is no news
            self._worker_pids_set = False
            signal_handling._remove_worker_pids(id(self))
        _kill(self._workers)

    def _next_data(self) -> Any:
        batch = super()._next_data()
        if isinstance(batch, Failed):
            raise batch.error
        return batch

    def _shutdown_workers(self) -> None:
        """As torch does it, which may take for ever where a reader does; then by force."""
        if self.pid != os.getpid() or self._shutdown:  # a copy in a reader of something else
            return
        politely = threading.Thread(target=super()._shutdown_workers, daemon=True)
        with contextlib.suppress(RuntimeError):  # there may be no memory for a thread
            politely.start()
            politely.join(GRACE)
        if any(worker.is_alive() for worker in self._workers):
            self._kill()
            if politely.is_alive():
                politely.join(GRACE)
        self._shutdown = True


def _watch(reference: weakref.ref[_Reading]) -> None:
    while (reading := reference()) is not None and not reading._shutdown:
        reading.look_up()
        del reading
        time.sleep(LOOK)


_all: weakref.WeakSet[_Reading] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """An error holds what it went through, and so the readers, up to the end of the process.

    There multiprocessing would wait for them, for ever.
    """
    for reading in list(_all):
        reading._shutdown_workers()


def _kill(readers: Any) -> None:
    for reader in readers:
        if reader.is_alive():
            reader.kill()
    for reader in readers:
        reader.join(1)
        if reader.is_alive():  # in the hands of a disk that does not answer: nobody waits for it
            multiprocessing.process._children.discard(reader)  # type: ignore[attr-defined]


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
    except (RuntimeError, OSError) as error:
        text = one_line(error).rstrip(".")
        if "Too many open files" in text or "items of ancillary data" in text:
            raise _without(NO_FILES) from error
        if not text.startswith(ENDED):
            raise
        codes = _codes(error)
        if f"exit code {UNGUARDED}" in text or UNGUARDED in codes:
            raise _not_begun() from error
        for code in (NO_FILES, NO_SHARED_MEMORY):
            if f"exit code {code}" in text or code in codes:
                raise _without(code) from error
        if "Bus error" in text or -BUS_ERROR in codes:
            raise _without(NO_SHARED_MEMORY) from error
        raise DataError(
            f"A process that reads pictures was ended: {text}.",
            hint="Where memory is short, take fewer: workers=1, or 0 for none (--workers).",
        ) from error


def _codes(error: BaseException) -> set[int]:
    """How the readers ended; torch names the code of the first one, and not always."""
    codes: set[int] = set()
    trace = error.__traceback__
    while trace is not None:
        workers = getattr(trace.tb_frame.f_locals.get("self"), "_workers", ())
        codes |= {getattr(worker, "exitcode", None) or 0 for worker in workers}
        trace = trace.tb_next
    return codes


def _is_no_room(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOMEM)
    return full or "start new thread" in str(error)


def _forked() -> bool:
    return multiprocessing.get_start_method() == "fork"


def _without(code: int) -> DataError:
    fewer = "or take fewer readers: workers=1, or 0 for none (--workers)."
    if code == NO_FILES:
        return DataError(
            "The processes that read pictures have too many files open.",
            hint=f"Raise the limit (ulimit -n), {fewer}",
        )
    return DataError(
        "The shared memory (/dev/shm) has no room for the batches that are read.",
        hint=f"Give it more (docker run --shm-size=1g), {fewer}",
    )


def _not_begun() -> DataError:
    return DataError(
        "The processes that read pictures run this script again, and so cannot start.",
        hint='Put what the script does under `if __name__ == "__main__":`; or read in this process:'
        " workers=0.",
    )
