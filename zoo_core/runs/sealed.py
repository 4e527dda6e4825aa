"""Files of a run that are written over and over, each with its sha256 beside.

Two files cannot be renamed at once. So the sha256 of the new file is written down before it takes
the place of the old one, together with that of the old one: whenever a process is killed, what is
there is one of the two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from zoo_core.files import NoRegularFile, hash_of, text
from zoo_core.runs.recipe import LAST
from zoo_core.runs.writing import kept_whole

SHORT = 10_000  # bytes of a list of sha256s at most


class Sealed:
    """A file of a run, to be written. `lasting`: each time so that it survives a power cut.

    `sha256`: of the file that this process wrote last, else None.
    """

    def __init__(self, folder: Path, name: str, *, lasting: bool) -> None:
        self.path, self.seals, self.lasting = folder / name, seals_of(folder, name), lasting
        self.sha256: str | None = None

    @contextlib.contextmanager
    def written(self) -> Iterator[Path]:
        """A temporary path that takes the file's place. Raises RecipeError."""
        with kept_whole(self.path, lasting=self.lasting) as temporary:
            yield temporary
            new, old = hash_of(temporary), self.sha256
            if old is None and self.path.exists():
                old = hash_of(self.path)
            with kept_whole(self.seals, lasting=self.lasting) as beside:
                beside.write_text("".join(f"{seal}\n" for seal in (new, old) if seal), "ascii")
        self.sha256 = new


def seals_of(folder: Path, name: str) -> Path:
    """Where the sha256s are that a file of a run may have.

    >>> seals_of(Path("run"), "last/state.pt").as_posix()
    'run/last/state.sha256'
    """
    return folder / LAST / Path(name).with_suffix(".sha256").name


def seals(folder: Path, name: str) -> tuple[str, ...] | None:
    """The sha256s that a file may have; None where nothing says: its run is of an older zoo.

    A list that cannot be read allows none.
    """
    try:
        return tuple(text(seals_of(folder, name), SHORT, "ascii").split())
    except FileNotFoundError:
        return None
    except (NoRegularFile, OSError, ValueError):
        return ()
