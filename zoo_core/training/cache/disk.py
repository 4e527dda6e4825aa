"""Activations on disk: what a frozen prefix gives for each picture, computed once.

A folder an entry, under `activations/` in zoo's cache:

    KEY/values.safetensors    the tensor `activations`, a row for each picture and view
    KEY/facts.json            what they were computed from, and the checksum of the values

KEY is a hash of everything that the values depend on. An entry is written beside its place and
renamed, so it is whole or not there; the checksum is compared whenever it is read, so a power cut
can take nothing but time. The checksum says nothing of who wrote it: another user's entry is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zoo_core.cache import cache_folder, is_trusted, make_folder
from zoo_core.files import content
from zoo_core.humanize import byte_size
from zoo_core.training.cache.limit import LIMIT, limit
from zoo_core.training.cache.limit import parse_size as parse_size
from zoo_core.training.cache.sink import NAME, VALUES
from zoo_core.training.cache.sink import Sink as Sink

FACTS = "facts.json"
UNFINISHED = ".new-"
LARGEST_FACTS = 2**20  # bytes
STALE = 86_400.0  # seconds after which an unfinished entry is nobody's


@dataclass(frozen=True)
class Entry:
    """Activations that are kept: where, how large, when last used, and from what they come."""

    key: str
    path: Path
    bytes: int
    used: float
    facts: Mapping[str, Any]


def key_of(facts: Mapping[str, Any]) -> str:
    """A name that two sets of activations share only when they were computed alike."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def place() -> Path:
    """The folder of all entries."""
    return cache_folder() / "activations"


def entries() -> list[Entry]:
    """All that are kept, the latest used first; what is no entry is passed over."""
    kept = []
    with contextlib.suppress(OSError):
        for path in place().iterdir():
            entry = _entry(path)
            if entry is not None:
                kept.append(entry)
    return sorted(kept, key=lambda entry: -entry.used)


def _entry(path: Path) -> Entry | None:
    """The entry in a folder: two files of this user's; None for anything else."""
    if path.name.startswith("."):  # one that is being written
        return None
    try:
        looked = [_looked_at(path, stat.S_ISDIR)]
        looked += [_looked_at(path / name, stat.S_ISREG) for name in (VALUES, FACTS)]
        facts = json.loads(content(path / FACTS, LARGEST_FACTS))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not all(map(is_trusted, looked)):
        return None
    return Entry(path.name, path, looked[1].st_size, looked[2].st_mtime, facts)


def _looked_at(path: Path, right: Callable[[int], bool]) -> os.stat_result:
    """What the system says of a path. Raises OSError for a link, and for another kind of thing."""
    facts = path.lstat()
    if not right(facts.st_mode):
        raise OSError(f"{path} is something else")
    return facts


def remove(path: Path) -> int:
    """Take an entry away, or what is left of one; returns its bytes.

    Only the files of an entry: what else lies there stays, and so does what a link leads to.
    Raises OSError where something stays.
    """
    size = 0
    if not path.is_symlink():
        for file in (path / FACTS, path / VALUES):  # without facts it is no entry any more
            with contextlib.suppress(FileNotFoundError):
                there = file.lstat().st_size
                file.unlink()
                size += there
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()
    return size


def remove_if_possible(path: Path) -> None:
    """The same where what stays does no harm."""
    with contextlib.suppress(OSError):
        remove(path)


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
        facts = _looked_at(path, stat.S_ISDIR)
        inside = {file.name for file in path.iterdir()}
    except FileNotFoundError:  # another process was first
        return True
    except OSError:
        return False
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        return False
    entry = _entry(path)
    if entry is not None and "checksum" in entry.facts:
        return True
    named = path.name.startswith(UNFINISHED) or re.fullmatch("[0-9a-f]{32}", path.name)
    return bool(named) and inside <= {VALUES, FACTS}


# --- how much may be kept ------------------------------------------------------------------------


def why_no_room(size: int) -> str:
    """Why values of so many bytes cannot be kept; nothing where they can."""
    if size > limit():
        return f"{byte_size(size)} are more than the {byte_size(limit())} of {LIMIT}"
    free = free_bytes() + sum(entry.bytes for entry in entries())
    return "" if size < free else f"{byte_size(size)} do not fit on the disk of {place()}"


def free_bytes() -> int:
    """The bytes that are free where entries are."""
    path = place()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def make_room(size: int) -> None:
    """Remove what was not used for longest, until so many bytes fit under the limit."""
    for left in place().glob(f"{UNFINISHED}*"):  # of processes that were killed
        with contextlib.suppress(OSError):  # another process was first
            if _is_ours(left) and time.time() - left.lstat().st_mtime > STALE:
                remove(left)
    kept = entries()
    while kept and sum(e.bytes for e in kept) + size > limit():
        remove_if_possible(kept.pop().path)


def memory_budget() -> int:
    """How many bytes may be held in memory: half of what is free."""
    import psutil

    return int(psutil.virtual_memory().available) // 2


# --- reading -------------------------------------------------------------------------------------


def load(key: str, say: Callable[[str], None] = lambda text: None) -> Tensor | None:
    """The activations of an entry, on the CPU: in memory where they fit, else mapped.

    None where there is no such entry, or another user's; one that is damaged is removed. `say`:
    what takes a line on that.
    """
    entry = _entry(place() / key)
    if entry is None:
        if os.path.lexists(place() / key):
            say(f"Not used: {place() / key} is damaged, or another user's. It is computed again.")
        return None
    try:
        tensor = _mapped(entry)
        if tensor.numel() * tensor.element_size() <= memory_budget():
            tensor = tensor.clone()
        if [checksum(tensor), key] != [entry.facts["checksum"], entry.facts["key"]]:
            raise ValueError("checksum")
    except (OSError, ValueError, KeyError, SafetensorError):
        say(f"Not used: {entry.path} is damaged. It is computed again.")
        remove_if_possible(entry.path)
        return None
    with contextlib.suppress(OSError):  # a folder for reading only
        os.utime(entry.path / FACTS)
    return tensor


def _mapped(entry: Entry) -> Tensor:
    """Mapped: nothing that happens to the tensor can reach the file."""
    return load_file(entry.path / VALUES)[NAME]


def checksum(tensor: Tensor) -> str:
    """A hash of the bytes of a tensor on the CPU."""
    digest = hashlib.blake2b(digest_size=16)
    for part in tensor.reshape(-1).view(torch.uint8).split(2**26):
        digest.update(part.numpy().data)
    return digest.hexdigest()


# --- writing -------------------------------------------------------------------------------------


def temporary_entry() -> Path:
    """A new folder beside the entries. Raises OSError."""
    make_folder(place())
    return Path(tempfile.mkdtemp(dir=place(), prefix=UNFINISHED))


def finish(temporary: Path, key: str, facts: Mapping[str, Any]) -> None:
    """Give a written folder its facts and checksum, and its place. Raises OSError."""
    entry = Entry(key, temporary, 0, 0.0, {})
    whole = {**facts, "key": key, "checksum": checksum(_mapped(entry))}
    (temporary / FACTS).write_text(json.dumps(whole, indent=2, default=str), encoding="utf-8")
    for name in (FACTS, VALUES):
        (temporary / name).chmod(0o600)
    if _entry(place() / key) is None:  # there is none, or it is damaged
        remove_if_possible(place() / key)
    try:
        temporary.rename(place() / key)
    except OSError:
        remove_if_possible(temporary)
        if _entry(place() / key) is None:  # else another process was first, with the same values
            raise


@contextlib.contextmanager
def removed_on_error(temporary: Path | None) -> Iterator[None]:
    """No half entry is left where its writing was stopped."""
    try:
        yield
    except BaseException:
        if temporary is not None:
            remove_if_possible(temporary)
        raise
