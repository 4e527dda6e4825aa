"""What lies among files and is none: pipes and devices, which might never end, and links back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo_core import files
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name


def refuse_no_files(folder: Path) -> None:
    """Raise DataError for what is neither a file nor a folder, anywhere below a folder."""
    for _, paths, _ in walked(folder):
        for path in paths:
            _refuse_no_file(path)


def only_files(folder: Path) -> list[Path]:
    """Every file below a folder, also through links.

    Raises DataError for what is none, for a folder that may not be listed, and for a link to a
    folder that was seen before, such as one that it lies in.
    """
    every = []
    for place, paths, again in walked(folder, _raise):
        if again:
            raise DataError(
                f"{readable_name(place)} is a link to a folder that is there already.",
                hint="Remove the link.",
            )
        for path in paths:
            _refuse_no_file(path)
        every += paths
    return every


def walked(
    folder: Path, failed: Callable[[OSError], None] | None = None, *, hidden: bool = True
) -> Iterator[tuple[Path, list[Path], bool]]:
    """Each folder, its files, and whether it was seen before: it is then not gone into.

    `failed` is told of what may not be listed. Without `hidden`, no folder that is.
    """
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=failed):
        at = Path(place).stat()
        if (at.st_dev, at.st_ino) in seen:
            folders.clear()
            yield Path(place), [], True
            continue
        seen.add((at.st_dev, at.st_ino))
        folders[:] = [name for name in folders if hidden or not name.startswith(".")]
        yield Path(place), [Path(place, name) for name in names], False


def _raise(error: OSError) -> None:
    raise DataError(f"{readable_name(error.filename)} cannot be listed: {error.strerror}.")


def _refuse_no_file(path: Path) -> None:
    if path.is_file() or not path.exists():
        return
    try:
        files.opened(path).close()
        fault = "was no file"
    except files.NoRegularFile as error:
        fault = str(error)
    except OSError as error:  # a socket
        fault = f"is no file: {error.strerror}"
    raise DataError(f"{readable_name(path)} {fault}.", hint="Take it out.")
