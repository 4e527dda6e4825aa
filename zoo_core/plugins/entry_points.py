"""load_plugins(): the installed entry points, one at a time; a broken one is recorded, never fatal.

`ZOO_PLUGINS=a,b` loads only those third-party entry points (empty: none); the built-ins, known by
their own files, always load. `ZOO_STRICT=1` raises the first failure instead of recording it.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterable, Set
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from types import FunctionType, ModuleType

from zoo_core.errors import described, did_you_mean
from zoo_core.plugins.calling import running
from zoo_core.plugins.manager import BUILT_IN, Plugin, Plugins
from zoo_core.plugins.own_files import NAMESAKE, is_own, normalized, whose

GROUP = "zoo_core"


def load_plugins(*, only: Iterable[str] | None = None, strict: bool | None = None) -> Plugins:
    """Load every installed plugin, each on its own, and return a fresh object.

    `only`: the names of the third-party entry points to load (default: ZOO_PLUGINS, else all).
    `zoo_acme`, `zoo-acme` and `Zoo.Acme` are one name.
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
    chosen = None if only is None else {normalized(name): name for name in only}
    for entry in entries:
        own = owner(entry) == BUILT_IN and is_own(entry)
        if own or chosen is None or normalized(entry.name) in chosen:
            _load(plugins, entry, own)
    loaded = {normalized(plugin.name) for plugin in plugins.all}
    for plain, name in (chosen or {}).items():
        if plain not in loaded:
            plugins.all.append(Plugin(name, "-", "-"))
            near = did_you_mean(name, [entry.name for entry in entries])
            fault = f"is named in ZOO_PLUGINS, but no such plugin is installed. {near}"
            plugins.fault(plugins.all[-1], fault)
    return plugins


def installed_entries() -> tuple[list[EntryPoint], dict[str, Exception]]:
    """The entry points of all plugins, the built-in ones first; and of which packages the list of
    entry points cannot be read, and why.

    Of two distributions of one name Python shows the first on its path. Another that bears zoo's
    name must not hide zoo's own, so those are asked for by name.
    """
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
    return sorted(_with_own(entries, unreadable), key=_order), unreadable


def _with_own(entries: list[EntryPoint], unreadable: dict[str, Exception]) -> list[EntryPoint]:
    """The same, with the entry points that another distribution of zoo's name hides."""
    namesakes: list[EntryPoint] = []
    for package in distributions(name=BUILT_IN):
        try:
            namesakes += package.entry_points.select(group=GROUP)
        except Exception as error:
            unreadable[f"{BUILT_IN} in {package.locate_file('')}"] = error
    namesakes += [entry for entry in entries if owner(entry) == BUILT_IN]
    each: dict[tuple[str, str], EntryPoint] = {}
    for entry in namesakes:
        other = each.setdefault((entry.name, entry.value), entry)
        if _place(other) != _place(entry) and not is_own(other) and is_own(entry):
            each[entry.name, entry.value] = entry
    return [*each.values(), *(entry for entry in entries if owner(entry) != BUILT_IN)]


def _place(entry: EntryPoint) -> str:
    return str(entry.dist.locate_file("")) if entry.dist else ""


def _load(plugins: Plugins, entry: EntryPoint, own: bool) -> None:
    version = (entry.dist.version if entry.dist else None) or "?"
    plugin = Plugin(entry.name, owner(entry), version, entry.module)
    if plugin.built_in and not own:
        plugin.distribution = NAMESAKE
        plugins.all.append(plugin)
        fault = f"bears the name of zoo-core, and is none of its files: {whose(entry)}."
        plugins.fault(plugin, f"{fault} It is not loaded: remove that distribution.")
        return
    before = set(sys.modules)
    start = time.perf_counter()
    try:
        with running(plugin, "to import"):
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
    return _owner(entry.dist) if entry.dist else "unknown"


@functools.cache
def _owner(package: Distribution) -> str:
    name: str | None = package.name  # None: half of a package, without metadata
    return normalized(name) if name else "unknown"


def _order(entry: EntryPoint) -> tuple[bool, str, str]:
    """The built-in plugins come first, and then the others, each by name."""
    return owner(entry) != BUILT_IN, entry.name, owner(entry)
