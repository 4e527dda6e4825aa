"""Pictures in one sub-folder per class."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from zoo_core.data.decoding import Files
from zoo_core.data.endings import Below, files_below, left_out, seen_again, unlisted_error
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, bits_of
from zoo_core.errors import DataError
from zoo_core.humanize import natural, printable, readable_name

KINDS = "They end with .jpg, .png, .webp, .tif and so on (docs/data.md has all)."


def open_folder(spec: Spec) -> Pictures:
    """Every picture in a sub-folder, which is its class; classes in natural order.

    What is hidden is passed over, and other files are counted in `notes`. Names that are the same
    letters in Unicode (NFC and NFD) are one class.
    """
    folder = spec.path
    if spec.part:
        hint = f"Name the sub-folder: folder:{spec.location}/{spec.part}."
        raise DataError(f'"{spec.name}" has no parts.', hint=hint)
    if not folder.is_dir():
        raise DataError(f"No folder at {readable_name(folder)}.")
    below = _files(folder)
    paths, others = below.pictures, below.others
    class_of = _class_names(paths)
    names = sorted(set(class_of.values()), key=natural)
    _check_empty(folder, class_of, below)
    number = {name: i for i, name in enumerate(names)}
    targets = [number[class_of[path.parent.name]] for path in paths]
    strays = [path for path in others if path.parent != folder]
    return Pictures(
        spec.name,
        Files(paths, bits_of(spec)),
        targets,
        names,
        notes=left_out(strays, readable_name(spec.name))
        + seen_again(below.again, readable_name(spec.name)),
    )


def _files(folder: Path) -> Below:
    """What lies there, with all pictures in class folders."""
    shown = readable_name(folder)
    try:
        below = files_below(folder)
    except OSError as error:
        raise DataError(f"{shown} cannot be listed: {readable_name(error)}.") from error
    if below.unlisted:
        raise unlisted_error(below.unlisted, shown)
    if not below.pictures:
        raise DataError(
            f"{shown} holds no pictures{_but(below.others)}.",
            hint=f"Put them in one sub-folder per class: cats/1.jpg, dogs/1.jpg. {KINDS}",
        )
    stray = next((path for path in below.pictures if path.parent.parent != folder), None)
    if stray is not None:
        raise DataError(
            f"{readable_name(stray)} is not in a class folder right under {shown}.",
            hint="One sub-folder per class; of folders of such, name one: "
            f"folder:{readable_name(folder)}/train.",
        )
    return below


def _class_names(paths: list[Path]) -> dict[str, str]:
    """The class of each folder's name. Raises DataError where two would be shown alike."""
    names = {path.parent.name for path in paths}
    class_of = {name: printable(unicodedata.normalize("NFC", name)) for name in names}
    first: dict[str, str] = {}
    for name in sorted(names):
        twin = first.setdefault(class_of[name], name)
        if unicodedata.normalize("NFC", twin) != unicodedata.normalize("NFC", name):
            raise DataError(
                f'Two class folders are both shown as "{class_of[name]}".',
                hint="Rename one: its name has characters that cannot be shown.",
            )
    return class_of


def _check_empty(folder: Path, class_of: dict[str, str], below: Below) -> None:
    """A class that lost its pictures would otherwise change the number of every later one."""
    inside = [path.name for path in folder.iterdir() if path.is_dir()]
    empty = [name for name in inside if name not in class_of and not name.startswith(".")]
    if empty:
        name = min(empty, key=natural)
        if folder / name in below.again:
            raise DataError(
                f'The class folder "{readable_name(name)}" in {readable_name(folder)} is a link to '
                "a folder that is there already.",
                hint="Remove it: its pictures would have two classes.",
            )
        own = [path for path in below.others if path.is_relative_to(folder / name)]
        raise DataError(
            f'The class folder "{readable_name(name)}" in {readable_name(folder)} holds no '
            f"pictures{_but(own)}.",
            hint=f"Put pictures into it, or remove it. {KINDS}",
        )


def _but(others: list[Path]) -> str:
    """What there is instead of pictures."""
    kinds = dict.fromkeys(path.suffix.lower() for path in others if path.suffix)
    return f", but files that end with {', '.join(map(readable_name, kinds))}" if kinds else ""
