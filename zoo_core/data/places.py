"""Where the relative paths of a recipe begin: it may be trained from in another folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from zoo_core.data.opening import FORMATS
from zoo_core.data.specs import START, Spec, parse
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name

PATTERN = set("*?[{")


def start_of_paths(folder: Path) -> str:
    """Where relative paths begin now, seen from a folder, so that both can be moved together."""
    here, there = Path.cwd() / START.get(), Path.cwd() / folder
    try:
        return Path(os.path.relpath(here, there)).as_posix()
    except ValueError:  # another drive
        return here.as_posix()


def is_relative(text: str) -> bool:
    """Whether a spec names a path that depends on the folder it is read in."""
    location = _location(parse(text, FORMATS))
    return bool(location) and not Path(location).expanduser().is_absolute()


def found_start(specs: Iterable[str], recipe: Path, recorded: str | None) -> Path:
    """The folder from which all specs of a recipe name something that is there.

    `recipe`: its file or folder. `recorded`: what `start_of_paths` said of it. It comes first, then
    the folder of the process, then the recipe's own. Raises DataError that says where it looked.
    """
    own = recipe if recipe.is_dir() else recipe.parent
    if not isinstance(recorded, str | None):
        raise DataError(f"{recipe}: folder in [data] is no path: {recorded!r}.")
    places = [own / recorded] if recorded else []
    places += [Path(), own]
    parsed = [parse(text, FORMATS) for text in specs]
    for place in places:
        if all(_is_there(spec, place) for spec in parsed):
            return place
    lost = next(spec for spec in parsed if not any(_is_there(spec, place) for place in places))
    looked = ", ".join(dict.fromkeys(readable_name(place.resolve()) for place in places))
    raise DataError(
        f"The data {lost.text} of {recipe} is not there; looked in {looked}.",
        hint="Train from the folder in which its path begins.",
    )


def _location(spec: Spec) -> str:
    """The path or pattern of a spec; none where it comes with a package, or from the Hub."""
    if spec.format == "hf":
        return ""
    return (spec.location.partition(":")[2] or "data") if spec.format == "torch" else spec.location


def _is_there(spec: Spec, start: Path) -> bool:
    location = _location(spec)
    if not location:
        return True
    path = start / Path(location).expanduser()
    try:
        return path.exists() or (bool(PATTERN & set(path.name)) and path.parent.exists())
    except (OSError, ValueError):  # longer than a name can be
        return False
