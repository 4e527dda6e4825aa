"""Pictures in one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from zoo_core.data.decoding import ENDINGS, Files
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec
from zoo_core.errors import DataError
from zoo_core.files import is_hidden
from zoo_core.humanize import natural


def open_folder(spec: Spec) -> Pictures:
    """What timm's reader finds; classes in natural order. What is hidden is passed over."""
    folder = spec.path
    if spec.part:
        hint = f"Name the sub-folder: folder:{spec.location}/{spec.part}."
        raise DataError(f'"{spec.name}" has no parts.', hint=hint)
    if not folder.is_dir():
        raise DataError(f"No folder at {folder}.")
    paths = _paths(folder)
    stray = next((path for path in paths if path.parent.parent != folder), None)
    if stray is not None:
        raise DataError(
            f"{stray} is not in a class folder right under {folder}.",
            hint="One sub-folder per class; of folders of such, name one: "
            f"folder:{spec.location}/train.",
        )
    names = sorted({path.parent.name for path in paths}, key=natural)
    _check_empty(folder, names)
    number = {name: i for i, name in enumerate(names)}
    targets = [number[path.parent.name] for path in paths]
    return Pictures(spec.name, Files(paths), targets, names)


def _paths(folder: Path) -> list[Path]:
    from timm.data.readers.reader_image_folder import find_images_and_targets

    try:
        pairs, _ = find_images_and_targets(str(folder), ENDINGS)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be listed: {error}.") from error
    every = [Path(path) for path, _ in pairs]
    paths = [path for path in every if not is_hidden(path.relative_to(folder))]
    if not paths:
        raise DataError(
            f"{folder} holds no pictures.",
            hint="Put them in one sub-folder per class: cats/1.jpg, dogs/1.jpg. "
            f"They end with {', '.join(ENDINGS)}.",
        )
    return paths


def _check_empty(folder: Path, names: list[str]) -> None:
    """A class that lost its pictures would otherwise change the number of every later one."""
    inside = [path.name for path in folder.iterdir() if path.is_dir()]
    empty = [name for name in inside if name not in names and not name.startswith(".")]
    if empty:
        raise DataError(
            f'The class folder "{min(empty, key=natural)}" in {folder} holds no pictures.',
            hint=f"Put pictures into it, or remove it. They end with {', '.join(ENDINGS)}.",
        )
