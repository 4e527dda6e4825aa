"""zoo.lock: the bytes behind each source that no manifest pins, as they were first seen.

    version = 1

    [weights."hf://timm/resnet34d.ra2_in1k/model.safetensors"]
    pinned = "hf://timm/resnet34d.ra2_in1k@<40 hex digits>/model.safetensors"
    sha256 = "<64 hex digits>"

A project's own `zoo.lock`, in the current folder, is meant to be committed with it; `zoo lock`
writes it. Without one, the user's is used: `zoo.lock` in `$XDG_CONFIG_HOME/zoo` or `~/.config/zoo`.
A folder that `zoo fetch --to` made has one too.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from zoo_core.cache import cache_folder, locked
from zoo_core.errors import WeightsError
from zoo_core.files import written
from zoo_core.humanize import one_line

VERSION = 1
NAME = "zoo.lock"


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source gave: the sha256 of its file, and the reference that means just these bytes."""

    sha256: str
    pinned: str


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    weights: dict[str, Pin] = {}


def project_lock() -> Path:
    """The lock of the current folder, there or not."""
    return Path(NAME)


def user_lock() -> Path:
    """The lock of this user, there or not."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home).expanduser() / "zoo" / NAME


def lock_in_use() -> Path:
    """The lock that a new pin is written to: the project's where there is one, else the user's."""
    return project_lock() if project_lock().exists() else user_lock()


def pin_of(source: str) -> Pin | None:
    """The pin of a source: the project's, the cache's or the user's. Raises WeightsError."""
    places = (project_lock(), cache_folder() / NAME, user_lock())
    return next((pin for place in places if (pin := read_lock(place).get(source))), None)


def read_lock(path: Path) -> dict[str, Pin]:
    """All pins of a lock file by source; none where it does not exist. Raises WeightsError."""
    try:
        lock = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Lock)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, msgspec.ValidationError) as error:
        text = one_line(error)
        raise WeightsError(
            f"{path} is no lock file: {text}.", hint="Restore it, or remove it and run: zoo lock"
        ) from error
    if lock.version != VERSION:
        raise WeightsError(f"{path} has version {lock.version}; this zoo reads {VERSION}.")
    return lock.weights


def add_pins(path: Path, pins: Mapping[str, Pin]) -> None:
    """Add pins to a lock file, or replace those of the same sources. Raises WeightsError."""
    import tomli_w

    with locked(str(path.absolute())):
        merged = read_lock(path) | dict(pins)
        tables = {source: msgspec.to_builtins(merged[source]) for source in sorted(merged)}
        text = tomli_w.dumps({"version": VERSION, "weights": tables})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise WeightsError(f"{path} cannot be written: {error.strerror or error}.") from error
