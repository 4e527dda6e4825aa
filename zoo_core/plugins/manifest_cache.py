"""Long manifests in TOML, remembered as JSON: Python reads that a hundred times faster.

What is remembered says of which bytes it was made, and is checked like any other manifest. It is
believed only where it is the user's own file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from zoo_core.cache import cache_folder
from zoo_core.files import content, written
from zoo_core.plugins.manifest_schema import MOST, SCHEMA, Tables
from zoo_core.version import __version__


def place_of(path: Path) -> Path | None:
    """Where a manifest is remembered: one place for each, so that an old one leaves nothing."""
    name = hashlib.blake2b(os.fsencode(path.absolute()), digest_size=16).hexdigest()
    try:
        return cache_folder() / "manifests" / f"{name}.json"
    except RuntimeError:  # nobody knows where the home folder is
        return None


def recalled(place: Path, body: bytes) -> bytes | None:
    """The JSON that was made of these bytes, or None."""
    try:
        if not _is_own(place):
            return None
        known = content(place, most=2 * MOST)
    except OSError:
        return None
    made_of, _, tables = known.partition(b"\n")
    return tables if made_of == _digest(body) else None


def remember(place: Path, body: bytes, read: Tables) -> None:
    """Write the checked tables for `recalled`; a cache that cannot be written costs time only."""
    tables = msgspec.json.encode({"schema": SCHEMA, **msgspec.structs.asdict(read)})
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with written(place) as temporary:
            temporary.write_bytes(_digest(body) + b"\n" + tables)


def _digest(body: bytes) -> bytes:
    return f"{__version__} {SCHEMA} {hashlib.sha256(body).hexdigest()}".encode()


def _is_own(place: Path) -> bool:
    """Whether the file and its folder belong to the user, and no other may write them."""
    if not hasattr(os, "geteuid"):
        return True
    stats = [path.stat() for path in (place, place.parent)]
    return all(stat.st_uid == os.geteuid() and not stat.st_mode & 0o022 for stat in stats)
