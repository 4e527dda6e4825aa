"""load_plugins(): the installed entry points, one at a time; a broken one is recorded, never fatal.

`ZOO_PLUGINS=a,b` loads only those third-party entry points (empty: none); the built-ins, known by
their distribution, always load. `ZOO_STRICT=1` raises the first failure instead of recording it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Set
from importlib.metadata import EntryPoint, distributions, entry_points
from types import FunctionType, ModuleType

from zoo_core.errors import described, did_you_mean
from zoo_core.plugins.manager import BUILT_IN, Plugin, Plugins
from zoo_core.terminal.streams import aside

GROUP = "zoo_core"


def load_plugins(*, only: Iterable[str] | None = None, strict: bool | None = None) -> Plugins:
    """Load every installed plugin, each on its own, and return a fresh object.

    `only`: the names of the third-party entry points to load (default: ZOO_PLUGINS, else all).
    """
    if only is None and "ZOO_PLUGINS" in os.environ:
        only = [name.strip() for name in os.environ["ZOO_PLUGINS"].split(",") if name.strip()]
    if strict is None:
        strict = os.environ.get("ZOO_STRICT", "") not in ("", "0")
    plugins = Plugins(strict=strict)
    entries, unreadable = installed_entries()
    for name, error in unreadable.items():
        plugins.all.append(Plugin(name, name, "?"))
        plugins.fault(plugins.all[-1], f"cannot be read: {described(error)}", error)
    for entry in entries:
        if _built_in(entry) or only is None or entry.name in only:
            _load(plugins, entry)
    for name in only or ():
        if name not in [plugin.name for plugin in plugins.all]:
            plugins.all.append(Plugin(name, "-", "-"))
            near = did_you_mean(name, [entry.name for entry in entries])
            fault = f"is named in ZOO_PLUGINS, but no such plugin is installed. {near}"
            plugins.fault(plugins.all[-1], fault)
    return plugins


def installed_entries() -> tuple[list[EntryPoint], dict[str, Exception]]:
    """The entry points of all plugins, the built-in ones first; and of which packages the list of
    entry points cannot be read, and why."""
    unreadable: dict[str, Exception] = {}
    try:
        entries = list(entry_points(group=GROUP))
    except Exception:  # one broken package must not hide the others
        entries = []
        for package in distributions():
            try:
                entries += package.entry_points.select(group=GROUP)
            except Exception as error:
                unreadable[str(package.metadata["Name"] or "unknown")] = error
    return sorted(entries, key=_order), unreadable


def _load(plugins: Plugins, entry: EntryPoint) -> None:
    version = (entry.dist.version if entry.dist else None) or "?"
    plugin = Plugin(entry.name, owner(entry), version, entry.module)
    before = set(sys.modules)
    start = time.perf_counter()
    try:
        with aside():  # what it prints is no part of any output
            module = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        plugins.all.append(plugin)
        plugins.fault(plugin, f"does not import: {described(error)}", error)
        return
    finally:
        plugin.seconds = time.perf_counter() - start
        if _imports_torch(entry, before):
            plugin.slow = "imports torch"
    plugins.register(module, plugin)


def _imports_torch(entry: EntryPoint, before: Set[str]) -> bool:
    """Whether loading a plugin imports torch; `before`: the modules that were there already.

    Where torch itself was, its names in the plugin's modules tell.
    """
    if "torch" not in before:
        return "torch" in sys.modules
    package = entry.module.partition(".")[0]
    loaded = [n for n in sys.modules.keys() - before if n.partition(".")[0] == package]
    names = {entry.module, *loaded}
    modules = [sys.modules[name] for name in names if name in sys.modules]
    values = [value for module in modules for value in list(vars(module).values())]
    return any(_home(value).partition(".")[0] == "torch" for value in values)


def _home(value: object) -> str:
    """The module that a value is, or where a class or function was defined."""
    if isinstance(value, ModuleType):
        return value.__name__
    return str(value.__module__) if isinstance(value, type | FunctionType) else ""


def owner(entry: EntryPoint) -> str:
    """The distribution that an entry point came with, by its normalized name."""
    name = entry.dist.name if entry.dist else None  # None: half of a package, without metadata
    return re.sub(r"[-_.]+", "-", name).lower() if name else "unknown"


def _built_in(entry: EntryPoint) -> bool:
    return owner(entry) == BUILT_IN


def _order(entry: EntryPoint) -> tuple[bool, str, str]:
    """The built-in plugins come first, and then the others, each by name."""
    return not _built_in(entry), entry.name, owner(entry)
