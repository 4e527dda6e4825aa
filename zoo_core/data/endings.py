"""Which files are pictures, by their endings; and what the others are that lie among them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from zoo_core.humanize import natural, readable_name

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

# What a package teaches Pillow: its name, its module, and what is to be called there.
PLUGINS = {
    ".heic": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".heif": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".hif": ("pillow-heif", "pillow_heif", "register_heif_opener"),
    ".jxl": ("pillow-jxl-plugin", "pillow_jxl", ""),
}

# What systems leave in folders of their own accord.
LEFT_BY_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini"}


@functools.cache
def register_plugins() -> None:
    """Let Pillow know the formats of the packages that are installed."""
    for _, module, register in dict.fromkeys(PLUGINS.values()):
        if importlib.util.find_spec(module) is not None:
            loaded = importlib.import_module(module)
            if register:
                getattr(loaded, register)()


def is_picture(path: Path) -> bool:
    """Whether a file is one that Pillow decodes, by its ending."""
    ending = path.suffix.lower()
    if ending in PLUGINS:
        return importlib.util.find_spec(PLUGINS[ending][1]) is not None
    return ending in ENDINGS


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures below a folder, and the files with other endings, in natural order.

    Nothing that is hidden, and nothing that systems leave. Raises OSError.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_raised):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower() not in LEFT_BY_SYSTEMS:
                path = Path(place, name)
                (pictures if is_picture(path) else others).append(path)
    return sorted(pictures, key=_order), sorted(others, key=_order)


def _raised(error: OSError) -> None:
    raise error


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
