"""Files that are whole or not there, and folders that are given where a name may be."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: renamed to it when all went well, removed when not.

    Raises OSError where the folder cannot be written or is full; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def name_or_path(model: str) -> str | Path:
    """A folder that is there is a path, also without ./ in front; all else is a name."""
    path = Path(model).expanduser()
    return path if path.is_dir() else model


def is_hidden(path: Path) -> bool:
    """Whether the name of a file, or of a folder on the way to it, begins with a dot."""
    return any(name.startswith(".") for name in path.parts)
