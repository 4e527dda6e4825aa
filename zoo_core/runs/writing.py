"""How the files of a run are written: whole, with errors that a person can do something about."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from zoo_core.errors import RecipeError
from zoo_core.files import sync, written
from zoo_core.humanize import printable
from zoo_core.runs.owner import OWNER
from zoo_core.runs.recipe import LAST

_TEMPORARY = re.compile(r"\.\w+\.(toml|jsonl|safetensors|npz|html|pt|sha256)\.\w{8}")


@contextlib.contextmanager
def kept_whole(path: Path, *, lasting: bool = False) -> Iterator[Path]:
    """As `files.written`, with an error that a person can do something about."""
    try:
        if not path.parent.exists():
            path.parent.mkdir()
            if lasting:
                sync(path.parent.parent)
        with written(path, lasting=lasting) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: Exception) -> RecipeError:
    """The error for a file of a run that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return RecipeError(
        f"{path} cannot be written: {reason}.",
        hint="What was written before it is whole: the run can go on from its last save.",
    )


def remains(folder: Path) -> list[Path]:
    """Temporary files in a run folder, of a process that was killed while it wrote."""
    folders = [folder, *(inner for inner in [folder / LAST] if not inner.is_symlink())]
    paths = [path for place in folders if place.is_dir() for path in place.iterdir()]
    return [p for p in paths if _TEMPORARY.fullmatch(p.name) and p.is_file() and not p.is_symlink()]


def is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder but what a killed process left before it wrote anything."""
    left = {path.name for path in remains(folder)} | {OWNER}
    return all(path.name in left for path in folder.iterdir())


def without_none(value: Any) -> Any:
    """The same without what TOML cannot say: None goes, and bytes of a path that are no text are
    shown."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list | tuple) else value
