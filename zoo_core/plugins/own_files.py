"""Which entry points are zoo's own: a name can be anybody's, so the files tell.

A distribution that calls itself `Zoo.Core` has the normalized name of zoo's.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, EntryPoint
from importlib.util import find_spec
from pathlib import Path

NAMESAKE = "another zoo-core"  # what the distribution of one that is not zoo's is called
PACKAGE = Path(__file__).resolve().parent.parent  # zoo_core itself
RECORDS = ("RECORD", "installed-files.txt")


def normalized(name: str) -> str:
    """A name of a distribution or plugin as PEP 503 compares them.

    >>> normalized("Zoo.Core"), normalized("zoo_core")
    ('zoo-core', 'zoo-core')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def is_own(entry: EntryPoint) -> bool:
    """Whether the module of an entry point comes with the zoo_core that is running.

    It lies in `plugins` of the same checkout; or beside zoo_core in an installed package, which has
    both in its list of files. Nothing is imported.
    """
    module = entry.module.partition(".")[0]
    place = _folder(module)
    if place is None:
        return False
    if place.parent == PACKAGE.parent / "plugins":
        return True
    beside = place.parent == PACKAGE.parent
    return beside and entry.dist is not None and _has_files(entry.dist, module)


def _folder(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve().parent if spec and spec.origin else None


def _has_files(package: Distribution, module: str) -> bool:
    if Path(str(package.locate_file(""))).resolve() != PACKAGE.parent:
        return False
    listed = next(filter(None, map(package.read_text, RECORDS)), None)
    files = (f"{module}/__init__.py", f"{PACKAGE.name}/__init__.py")
    return listed is None or all(file in listed for file in files)


def whose(entry: EntryPoint) -> str:
    """Where an entry point of another zoo-core comes from, for a message."""
    module = entry.module.partition(".")[0]
    folder, package = _folder(module), entry.dist
    place = f"in {folder}" if folder else "nowhere to be found"
    named = f"{package.name} in {package.locate_file('')}" if package else "nobody"
    return f"its module {module} is {place}, its distribution {named}"
