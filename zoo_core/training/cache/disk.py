"""Activations on disk: what a frozen part gives for each picture, computed once.

A folder for each frozen part and way to run it, under `activations/` in zoo's cache:

    KEY/facts.json            all that its rows depend on, but for the pictures
    KEY/….safetensors         blocks of rows, each with the key of its picture (see `block.py`)

KEY is a hash of the facts. That they are there says, too, that a row was seen to depend on nothing
but its picture. Blocks are only added, by any number of processes, and each is whole or not there;
its checksum is compared whenever it is read, so a power cut can take nothing but time. The
checksum says nothing of who wrote it: another user's block is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.cache import cache_folder, is_trusted, make_folder
from zoo_core.files import content, written
from zoo_core.humanize import byte_size
from zoo_core.training.cache.block import NAME, UNFINISHED, Damaged, blocks_in, keys_in, looked_at
from zoo_core.training.cache.limit import LIMIT, limit
from zoo_core.training.cache.limit import parse_size as parse_size

FACTS = "facts.json"
OLD = "values.safetensors"  # of versions that kept one file for each set of pictures
LARGEST_FACTS = 2**20  # bytes
STALE = 86_400.0  # seconds after which an unfinished block is nobody's


@dataclass(frozen=True)
class Entry:
    """A store: where, how large, when last used, and from what its rows come."""

    key: str
    path: Path
    blocks: list[Path]
    bytes: int
    used: float
    facts: Mapping[str, Any]

    def count(self) -> int:
        """How many rows there are."""
        rows = 0
        for block in self.blocks:
            with contextlib.suppress(OSError, Damaged):
                rows += len(keys_in(block))
        return rows


def key_of(facts: Mapping[str, Any]) -> str:
    """A name that two sets of activations share only when they were computed alike."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def place() -> Path:
    """The folder of all entries."""
    return cache_folder() / "activations"


def entries() -> list[Entry]:
    """All that are kept, the latest used first; what is no entry is passed over."""
    kept = [entry for path in _folders() if (entry := entry_at(path)) is not None]
    return sorted(kept, key=lambda entry: -entry.used)


def _folders() -> list[Path]:
    try:
        return sorted(place().iterdir())
    except OSError:
        return []


def entry_at(path: Path) -> Entry | None:
    """The entry in a folder of this user's; None for anything else."""
    try:
        looked = [looked_at(path, stat.S_ISDIR), looked_at(path / FACTS)]
        facts = json.loads(content(path / FACTS, LARGEST_FACTS))
        if not isinstance(facts, dict) or key_of(facts) != path.name:
            return None
    except (OSError, ValueError, RecursionError):
        return None
    if not all(map(is_trusted, looked)):
        return None
    blocks = blocks_in(path)
    sizes, used = 0, looked[1].st_mtime
    for block in blocks:
        with contextlib.suppress(OSError):
            found = block.lstat()
            sizes, used = sizes + found.st_size, max(used, found.st_mtime)
    return Entry(path.name, path, blocks, sizes, used, facts)


def begin(facts: Mapping[str, Any]) -> Path:
    """The folder of an entry, with its facts. Raises OSError."""
    path = place() / key_of(facts)
    if entry_at(path) is None:
        make_folder(path)
        with written(path / FACTS) as temporary:
            temporary.write_text(json.dumps(facts, indent=2, default=str), encoding="utf-8")
        (path / FACTS).chmod(0o600)
    if not is_trusted(looked_at(path, stat.S_ISDIR)):
        raise PermissionError(f"{path} is another user's")
    return path


# --- removing ------------------------------------------------------------------------------------


def _is_a_file_of_ours(name: str) -> bool:
    unfinished = name.startswith((UNFINISHED, f".{FACTS}."))
    return unfinished or name in (FACTS, OLD) or bool(NAME.fullmatch(name))


def remove(path: Path) -> int:
    """Take an entry away, or what is left of one; returns its bytes.

    Only the files of an entry: what else lies there stays, and so does what a link leads to.
    Raises OSError where something stays.
    """
    size = 0
    if not path.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            for file in sorted(path.iterdir(), key=lambda file: file.name != FACTS):
                if _is_a_file_of_ours(file.name):  # without facts, the first, it is no entry
                    with contextlib.suppress(FileNotFoundError):
                        there = file.lstat().st_size
                        file.unlink()
                        size += there
            path.rmdir()
    return size


def remove_if_possible(path: Path) -> None:
    """The same where what stays does no harm."""
    with contextlib.suppress(OSError):
        remove(path)


def remove_block(path: Path) -> None:
    """Take one away where that can be; a folder with none left is no entry."""
    with contextlib.suppress(OSError):
        path.unlink()
    if not blocks_in(path.parent):
        remove_if_possible(path.parent)


@dataclass
class Cleared:
    """What `clear` did: the bytes that it freed, and what it left, as it is no entry, or why."""

    freed: int = 0
    foreign: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def clear() -> Cleared:
    """Remove all entries, whole or not, and nothing else. Raises OSError for a folder that is none.

    A training that reads an entry has it open, and keeps it.
    """
    done = Cleared()
    if not place().exists():
        return done
    for path in sorted(place().iterdir()):
        if not _is_ours(path):
            done.foreign.append(path.name)
            continue
        try:
            done.freed += remove(path)
        except OSError as error:
            done.failed[path.name] = error.strerror or str(error)
    return done


def _is_ours(path: Path) -> bool:
    """Whether zoo wrote a folder for this user: by its name, and by what lies in it."""
    try:
        facts = looked_at(path, stat.S_ISDIR)
        inside = [file.name for file in path.iterdir()]
    except FileNotFoundError:  # another process was first
        return True
    except OSError:
        return False
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        return False
    if entry_at(path) is not None:
        return True
    named = path.name.startswith(UNFINISHED) or re.fullmatch("[0-9a-f]{32}", path.name)
    return bool(named) and all(map(_is_a_file_of_ours, inside))


# --- how much may be kept ------------------------------------------------------------------------


def why_no_room(size: int, more: int) -> str:
    """Why rows of so many bytes, `more` of them new, cannot be kept; nothing where they can."""
    if size > limit():
        return f"{byte_size(size)} are more than the {byte_size(limit())} of {LIMIT}"
    free = free_bytes() + sum(entry.bytes for entry in entries())
    return "" if more < free else f"{byte_size(more)} do not fit on the disk of {place()}"


def free_bytes() -> int:
    """The bytes that are free where entries are."""
    path = place()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def make_room(size: int) -> None:
    """Remove blocks that were not used for longest, until so many bytes fit under the limit.

    What an older version kept goes first, and so does what killed processes have left.
    """
    for path in _left_over():
        with contextlib.suppress(OSError):  # another process was first
            remove(path) if path.is_dir() else path.unlink()
    blocks = []
    for entry in entries():
        for block in entry.blocks:
            with contextlib.suppress(OSError):
                facts = block.lstat()
                blocks.append((facts.st_mtime, facts.st_size, block))
    blocks.sort(reverse=True)
    while blocks and sum(block[1] for block in blocks) + size > limit():
        remove_block(blocks.pop()[2])


def _left_over() -> Iterator[Path]:
    for path in filter(_is_ours, _folders()):
        if (path / OLD).exists() or path.name.startswith(UNFINISHED):
            unfinished = path.name.startswith(UNFINISHED)
            if not unfinished or _is_stale(path):
                yield path
        else:
            yield from filter(_is_stale, path.glob(f"{UNFINISHED}*"))


def _is_stale(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > STALE
    except OSError:
        return False


def memory_budget() -> int:
    """How many bytes may be held in memory: half of what is free."""
    import psutil

    return int(psutil.virtual_memory().available) // 2
