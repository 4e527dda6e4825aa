"""zoo.lock: the bytes behind each source that no manifest pins, as they were first seen.

    version = 1

    [weights."hf://timm/resnet34d.ra2_in1k/model.safetensors"]
    pinned = "hf://timm/resnet34d.ra2_in1k@<40 hex digits>/model.safetensors"
    sha256 = "<64 hex digits>"

A project's own `zoo.lock`, in the current folder, is meant to be committed with it; `zoo lock`
writes it. Without one, the user's is used: `zoo.lock` in `$XDG_CONFIG_HOME/zoo` or `~/.config/zoo`.
A folder that `zoo fetch --to` made has one too.

A lock may be a stranger's, so it says of a file only which revision and which bytes: it leads to no
other place. Passwords and queries of addresses do not stand in it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.cache import cache_folder, locked
from zoo_core.errors import WeightsError
from zoo_core.files import text, written
from zoo_core.humanize import one_line, readable_name, without_credentials
from zoo_core.terminal.lines import logger
from zoo_core.weights.addresses import known_as, pinned_as, public, stated_sha256
from zoo_core.weights.pickles import PICKLES
from zoo_core.weights.published import Sha256

VERSION = 1
NAME = "zoo.lock"
LARGEST = 16 * 2**20  # bytes of a lock: some 50,000 pins

_REPOSITORY = re.compile(r"(?!(?:https?|file|pkg):)[a-z][a-z0-9+.-]*://[^/@]+/[^/@]+")
_FILES = (".safetensors", *PICKLES)

log = logger(__name__)


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source gave: the sha256 of its file, and the reference that means just these bytes."""

    sha256: Sha256
    pinned: str


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    weights: dict[str, dict[str, Any]] = {}


def project_lock() -> Path:
    """The lock of the current folder, there or not."""
    return Path(NAME)


def user_lock() -> Path | None:
    """The lock of this user, there or not; None for a user without a home."""
    try:
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(home).expanduser() / "zoo" / NAME
    except RuntimeError:
        return None


def lock_in_use() -> Path | None:
    """The lock that a new pin is written to: the project's where there is one, else the user's."""
    return project_lock() if _is_there(project_lock()) else user_lock()


def pin_of(source: str) -> Pin | None:
    """The pin of a source: the project's, the cache's or the user's. Raises WeightsError."""
    key = known_as(source)
    pin = next((pin for place in _places() if (pin := read_lock(place).get(key))), None)
    return Pin(pin.sha256, source) if pin is not None and pin.pinned == key else pin


def was_had(reference: str, sha256: str) -> bool:
    """Whether these bytes came from there before, by a lock. Raises WeightsError."""
    pins = [pair for place in _places() for pair in read_lock(place).items()]
    return any(pin.sha256 == sha256 and reference in (key, pin.pinned) for key, pin in pins)


def _places() -> list[Path]:
    """The locks that count: the project's, the cache's, the user's."""
    return [place for place in (project_lock(), cache_folder() / NAME, user_lock()) if place]


def _is_there(path: Path) -> bool:
    """Whether something is at a path; in a folder that may not be entered nothing is."""
    try:
        return path.exists()
    except OSError:
        return False


def read_lock(path: Path) -> dict[str, Pin]:
    """All pins of a lock file by source; none where it does not exist. Raises WeightsError."""
    try:
        table = tomllib.loads(text(path, most=LARGEST))
        version = table.get("version")
        if isinstance(version, int) and version != VERSION:
            shown = str(version)[:40]
            raise WeightsError(f"{path} has version {shown}; this zoo reads {VERSION}.")
        lock = msgspec.convert(table, _Lock)
    except OSError as error:
        if not _is_there(path):
            return {}
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except RecursionError as error:
        raise _no_lock(path, "it is nested too deeply") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise _no_lock(path, readable_name(one_line(error))) from error
    return {source: _checked(path, source, entry) for source, entry in lock.weights.items()}


def add_pins(path: Path, pins: Mapping[str, Pin]) -> None:
    """Add pins to a lock file, or replace those of the same sources. Raises WeightsError."""
    import tomli_w

    with locked(str(path.absolute())):
        merged = read_lock(path) | {
            known_as(source): _told(source, pins[source]) for source in pins
        }
        tables = {source: msgspec.to_builtins(merged[source]) for source in sorted(merged)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written(path) as temporary:
                dumped = tomli_w.dumps({"version": VERSION, "weights": tables})
                temporary.write_text(dumped, encoding="utf-8")
        except OSError as error:
            raise WeightsError(f"{path} cannot be written: {error.strerror or error}.") from error


def pin_if_possible(source: str, pin: Pin) -> None:
    """Note a source that was seen for the first time, in the lock in use.

    Where that cannot be written the weights are no worse: a warning says that they are not pinned.
    Raises WeightsError where the lock that is there is none.
    """
    path = lock_in_use()
    shown = readable_name(without_credentials(source))
    if path is None:
        log.warning("%s is not pinned: no home folder for a %s.", shown, NAME)
        return
    read_lock(path)
    try:
        add_pins(path, {source: pin})
    except WeightsError as error:
        log.warning("%s is not pinned: %s", shown, error.message)


# --- one entry -----------------------------------------------------------------------------------


def _checked(path: Path, source: str, entry: dict[str, Any]) -> Pin:
    shown = readable_name(without_credentials(source))[:200]
    try:
        pin = msgspec.convert(entry, Pin)
    except msgspec.ValidationError as error:
        raise _no_lock(path, f"{shown}: {one_line(error)}") from error
    if not _is_of(pin.pinned, source):
        there = readable_name(without_credentials(pin.pinned))[:200]
        raise WeightsError(
            f"{path} sends {shown} to {there}, which is another place.",
            hint="A lock may only say which revision of a file is meant. "
            "Remove the entry, and do not trust the others.",
        )
    return pin


def _no_lock(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} is no lock file: {why.replace('`', '')}.",
        hint="Restore it, or remove it and run: zoo lock",
    )


def _is_of(pinned: str, source: str) -> bool:
    """Whether a pin is its source itself, or the same file of the same repository at a revision.

    >>> _is_of("hf://a/b@c0ffee/x.safetensors", "hf://a/b/x.safetensors")
    True
    >>> _is_of("hf://a/b@c0ffee/x.safetensors", "hf://a/b@exp/run-1/x.safetensors")
    True
    >>> _is_of("hf://evil/b@c0ffee/x.safetensors", "hf://a/b/x.safetensors")
    False
    >>> _is_of("https://a/b@c0ffee/x.safetensors", "https://a/b/x.safetensors")
    False
    """
    stated = stated_sha256(pinned)  # all that is told of an address with a secret
    if pinned == source or (stated is not None and pinned == pinned_as(source, stated)):
        return True
    repository, _, rest = pinned.partition("@")
    revision, slash, file = rest.partition("/")
    if not _REPOSITORY.fullmatch(repository) or not revision or bool(slash) != bool(file):
        return False
    asked = source.removeprefix(repository)
    if not asked.startswith("@"):
        return source == repository + slash + file
    if file:
        return len(asked) > len(file) + 2 and asked.endswith(slash + file)
    return not asked.endswith(_FILES)


def _told(source: str, pin: Pin) -> Pin:
    """A pin as it is written down: by its hash alone where its source named another place."""
    key, pinned = known_as(source), public(pin.pinned)
    return Pin(pin.sha256, pinned if _is_of(pinned, key) else key)
