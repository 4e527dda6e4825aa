"""The owner of a run folder: the one process that may write into it.

It holds a lock on a file in the folder for as long as it lives; the system takes the lock away when
the process ends, however it ends. So a file that is left over means nothing. The lock is one of
`fcntl`: it holds over NFS too, and readers that were forked do not have it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
import threading
from pathlib import Path

from zoo_core.errors import RecipeError
from zoo_core.files import NoRegularFile, text
from zoo_core.humanize import readable_name
from zoo_core.terminal.lines import logger

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # behind the text: nobody may read what is locked
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


OWNER = ".owner"

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

# The system knows only whether another process holds a lock: these are held here, with the number
# of the process, since a child begins with a copy.
_held: dict[Path, int] = {}
_one_at_a_time = threading.Lock()

log = logger(__name__)


class Owner:
    """This process as the owner of a folder, which is made where it is not there.

    Raises RecipeError where another has it, OSError where nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.process = folder.resolve() / OWNER, os.getpid()
        with _one_at_a_time:
            if _held.get(self.path) == self.process:  # and opening it would end that lock
                raise _taken(folder, _name())
            self.handle = self._take(folder)
            _held[self.path] = self.process

    def _take(self, folder: Path) -> int:
        while True:
            with contextlib.suppress(FileExistsError):
                make_private(self.path.parent)
            handle = _opened(self.path)
            try:
                self._lock_and_sign(handle, folder)
                if self._is_in_place(handle):
                    return handle
            except FileNotFoundError:
                pass  # its owner has ended just now, and taken the file with it: once more
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _lock_and_sign(self, handle: int, folder: Path) -> None:
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _TAKEN:
                raise _taken(folder, _named_in(self.path)) from error
            if error.errno not in _NO_LOCKS:
                raise
            log.warning("%s has no locks: nothing keeps a second training out.", folder)
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, _name().encode())

    def _is_in_place(self, handle: int) -> bool:
        return os.path.samestat(os.fstat(handle), self.path.stat())

    def release(self) -> None:
        """Let go of the folder, once."""
        with _one_at_a_time:
            if self.process != os.getpid() or _held.get(self.path) != self.process:
                return
            del _held[self.path]
            try:
                self.path.unlink(missing_ok=True)
            except OSError:  # of a folder that cannot be written any more; it means nothing
                log.debug("%s is left over", self.path)
            finally:
                os.close(self.handle)


def make_private(folder: Path) -> None:
    """Make a folder for this user alone, whatever the umask: a run tells of somebody's pictures.

    Raises FileExistsError for one that is there, which keeps its rights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    folder.chmod(0o700)


def _opened(path: Path) -> int:
    """The lock file, made where it is not there; never what a link leads to, or a pipe."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NoRegularFile(f"{OWNER} in it is no file")
    return handle


def _name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _named_in(path: Path) -> str:
    try:
        return readable_name(text(path, most=500)) or "another process"
    except (OSError, ValueError):
        return "another process"


def _taken(folder: Path, by: str) -> RecipeError:
    return RecipeError(
        f"A training is under way in {folder}, by {by}: wait for it, or choose another folder "
        "(--out)."
    )
