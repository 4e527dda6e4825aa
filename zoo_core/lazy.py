"""Names that a package hands on from its files, each loaded when it is first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


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
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # so that it is asked for once
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *listed})

    return load, names, listed
