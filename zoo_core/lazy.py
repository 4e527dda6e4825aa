"""Names that a package hands on from its files, each loaded when it is first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Renamed:
    """A public name that another has replaced: in version `since`, to go in version `until`."""

    new: str
    since: str
    until: str


RENAMED: dict[str, Renamed] = {}
"""Old names as "package.name". They work, and the first use of each warns (docs/versions.md)."""


def handed_on(
    package: str, homes: Mapping[str, str], *, unlisted: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package.

    `homes`: each file by its dotted path below the package, and the names that it has, with blanks
    between them. `unlisted`: the same for what the package's own files reach through it, and
    nobody else needs. Importing the package itself imports none of them.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}
    listed = sorted(home_of)
    home_of |= {name: home for home, names in (unlisted or {}).items() for name in names.split()}

    def load(name: str) -> Any:
        renamed = RENAMED.get(f"{package}.{name}")
        if renamed:
            _warn(package, name, renamed)
            value = load(renamed.new)
        elif name in home_of:
            value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)  # so that it is asked for once
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *listed})

    return load, names, listed


def _warn(package: str, name: str, renamed: Renamed) -> None:
    now = f"{package}.{name} is {package}.{renamed.new} since {renamed.since}"
    text = f"{now}; the old name goes in {renamed.until}."
    warnings.warn(text, DeprecationWarning, stacklevel=3)
