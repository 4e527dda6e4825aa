"""Weights that are here: `file:PATH`, and `pkg://package/path` inside an installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zoo_core.errors import NotInstalled, SourceError
from zoo_core.hookspecs import hookimpl
from zoo_core.types import Fetched, WeightSource


@hookimpl
def zoo_weight_sources() -> list[WeightSource]:
    return [
        WeightSource("file", fetch_file, summary="a file on this machine: file:PATH"),
        WeightSource("pkg", fetch_package, summary="a file in a package: pkg://package/path"),
    ]


def fetch_file(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    """The file at PATH, or `filename` in the folder at PATH.

    Raises SourceError when there is none.
    """
    path = Path(reference.removeprefix("//"))
    try:
        path = path.expanduser()
        if path.is_dir() and filename:
            path = path / filename
        exists = path.is_file()
    except (OSError, RuntimeError):  # too long a name, a closed folder, no such ~user
        exists = False
    if not exists:
        raise SourceError(f"No file at {path}.", hint="Check the path; a relative one starts here.")
    return Fetched(path)


def fetch_package(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    """The file `path` of an installed package, found without importing it.

    Raises NotInstalled where the package is not here, SourceError where it has no such file.
    """
    package, _, inside = reference.partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(f'No package "{package}" is installed, for pkg://{reference}.')
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    path = (folder / inside).resolve()
    if not path.is_relative_to(folder):
        raise SourceError(f"pkg://{reference} points out of its package.")
    if not path.is_file():
        raise SourceError(f'The package "{package}" has no file "{inside}".')
    return Fetched(path)
