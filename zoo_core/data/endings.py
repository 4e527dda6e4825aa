"""Which files are pictures, by their endings; and what the others are that lie among them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from zoo_core.data.no_files import walked
from zoo_core.errors import DataError
from zoo_core.humanize import natural, readable_name, some

# What Pillow itself decodes, by format.
ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".png", ".apng"),
    *(".webp", ".avif", ".avifs"),
    *(".bmp", ".dib", ".gif"),
    *(".tif", ".tiff"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    *(".tga", ".icb", ".vda", ".vst"),
    *(".ico", ".icns", ".cur"),
    *(".pcx", ".dcx", ".dds", ".psd", ".qoi"),
    *(".sgi", ".bw", ".rgb", ".rgba", ".ras"),
    *(".xbm", ".xpm", ".msp"),
)

# Their formats, in the order in which Pillow tries them; a multi-picture JPEG opens as JPEG. Each
# is decoded in this process by code made for it. Pillow knows more: EPS starts Ghostscript, IPTC
# opens what lies in it as anything, WMF, GRIB, BUFR and HDF5 go to whatever is installed.
FORMATS = (
    *("BMP", "DIB", "GIF", "JPEG", "PPM", "PNG"),
    *("AVIF", "CUR", "DCX", "DDS", "ICNS", "ICO", "JPEG2000", "MSP", "PCX", "PSD", "QOI"),
    *("SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)

# What a package teaches Pillow: its name, its module, and what is to be called there.
PLUGINS = {
    ".heic": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".heif": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".hif": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".jxl": ("pillow-jxl-plugin", "pillow_jxl", ""),
}

TAUGHT = ("HEIF", "JXL")  # the formats of those packages

# What systems leave in folders of their own accord.
LEFT_BY_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini"}


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """The formats that are opened, whatever the file is called; those of packages among them."""
    for _, module, register in dict.fromkeys(PLUGINS.values()):
        if importlib.util.find_spec(module) is not None:
            loaded = importlib.import_module(module)
            if register:
                getattr(loaded, register)()
    no_avif = importlib.util.find_spec("PIL.AvifImagePlugin") is None  # Pillow before 11.3
    own = (name for name in FORMATS if name != "AVIF" or not no_avif)
    return (*own, *(name for name in TAUGHT if name in Image.OPEN))


def is_picture(path: Path) -> bool:
    """Whether a file is one that Pillow decodes, by its ending."""
    ending = path.suffix.lower()
    if ending in PLUGINS:
        return importlib.util.find_spec(PLUGINS[ending][1]) is not None
    return ending in ENDINGS


class Below(NamedTuple):
    """What lies below a folder, in natural order.

    `others`: files with other endings. `unlisted`: folders that may not be listed. `again`: links
    to folders that were seen before, such as one that they lie in.
    """

    pictures: list[Path]
    others: list[Path]
    unlisted: list[Path]
    again: list[Path]


def files_below(folder: Path) -> Below:
    """The pictures below a folder, and what else is there: nothing hidden, nor left by systems.

    Links to folders are followed, each folder once. Raises OSError where it may not be listed.
    """
    below = Below([], [], [], [])
    os.scandir(folder).close()
    failed = lambda error: below.unlisted.append(Path(error.filename))  # noqa: E731
    for place, paths, again in walked(folder, failed, hidden=False):
        if again:
            below.again.append(place)
        for path in paths:
            if not path.name.startswith(".") and path.name.lower() not in LEFT_BY_SYSTEMS:
                (below.pictures if is_picture(path) else below.others).append(path)
    return Below(*(sorted(paths, key=_order) for paths in below))


def unlisted_error(folders: Sequence[Path], place: str) -> DataError:
    """The error for folders that may not be listed."""
    count = "A folder" if len(folders) == 1 else f"{len(folders)} folders"
    names = some([readable_name(folder) for folder in folders])
    return DataError(
        f"{count} in {place} cannot be listed: {names}.",
        hint="Allow it (chmod u+rx), or take what may not be read elsewhere.",
    )


def seen_again(links: Sequence[Path], place: str) -> list[str]:
    """A line on links to folders that were seen before."""
    if not links:
        return []
    names = some([readable_name(link) for link in links])
    which = "a link" if len(links) == 1 else f"{len(links)} links"
    return [f"Left out {which} in {place} to folders that are there already: {names}."]


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    return natural(str(path))


def left_out(others: Sequence[Path], place: str) -> list[str]:
    """A line on the files that are no pictures by their endings: how many, of which, and where.

    >>> left_out([Path("f/a/1.heic"), Path("f/a/2.heic"), Path("f/b/notes.txt")], "folder:f")
    ['Left out 3 files of folder:f that are no pictures by their endings: 2 .heic, 1 .txt; the \
first is f/a/1.heic. For .heic: pip install pillow-heif']
    """
    if not others:
        return []
    counts = Counter(path.suffix.lower() or "without one" for path in others)
    kinds = ", ".join(f"{count} {readable_name(ending)}" for ending, count in counts.most_common())
    files = "1 file" if len(others) == 1 else f"{len(others)} files"
    verb, them = (
        ("is no picture", "its ending")
        if len(others) == 1
        else ("are no pictures", "their endings")
    )
    line = f"Left out {files} of {place} that {verb} by {them}: {kinds}; the first is "
    return [f"{line}{readable_name(others[0])}.{_packages(counts)}"]


def _packages(counts: Counter[str]) -> str:
    """What to install for those that a package would read."""
    missing = [ending for ending in counts if ending in PLUGINS]
    return "".join(f" For {ending}: pip install {PLUGINS[ending][0]}" for ending in missing)
