"""Where a page may be written: where nothing is, or over an earlier page of zoo."""

from __future__ import annotations

from pathlib import Path

from zoo_core.errors import ZooError
from zoo_core.files import NoRegularFile, opened
from zoo_core.humanize import readable_name

MARK = '<meta name="generator" content="zoo">'  # by which a page that may be replaced is known
_HEAD = 2_000  # bytes of a page, within which its mark is


def check_place(place: Path, option: str = "--out") -> None:
    """Raise ZooError where a page may not be written: over a file that is no page of zoo.

    A report is one of a run's files, and has no mark. `option`: that by which `place` is given.
    """
    name = readable_name(place)
    if place.is_dir():
        raise ZooError(f"{name} is a folder: give the page a name, such as {name}/page.html.")
    if not place.parent.is_dir():
        raise ZooError(f"There is no folder {readable_name(place.parent)} to write into.")
    try:
        ours = _is_page(place)
    except OSError as error:
        raise ZooError(f"{name} cannot be written: {error.strerror}.") from error
    if not ours:
        raise ZooError(
            f"{name} is there, and is no page of zoo.", hint=f"Write to another: {option} FILE."
        )


def _is_page(place: Path) -> bool:
    """Whether an earlier page is there, or nothing."""
    try:
        with opened(place) as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return True
    except NoRegularFile:
        return False
    return MARK.encode() in head
