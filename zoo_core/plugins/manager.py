"""The plugins of a process, and the one way to call their hooks: who fails is recorded, not fatal.

Which plugins there are is not decided here, but by whoever registers them: see `load_plugins`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import pluggy

from zoo_core import hookspecs
from zoo_core.errors import PluginError, described
from zoo_core.humanize import readable_name
from zoo_core.plugins.calling import running
from zoo_core.plugins.hook_checks import HOOKS as HOOKS
from zoo_core.plugins.hook_checks import unknown_arguments, without_effect
from zoo_core.plugins.plugin import BUILT_IN as BUILT_IN
from zoo_core.plugins.plugin import Plugin as Plugin
from zoo_core.plugins.record_checks import wrong_field
from zoo_core.types import ModelInfo

ITEMS = 10_000  # what one plugin may return from a hook
LONGEST = 1_000  # characters of a fault
FAULTS = 20  # of one plugin, that are told


class Plugins:
    """The plugins of one process, and the only way to call their hooks."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.all: list[Plugin] = []
        # by pluggy's name for it, since two may have one entry point's name
        self._registered: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)

    @property
    def broken(self) -> list[Plugin]:
        return [plugin for plugin in self.all if plugin.broken]

    def named(self, name: str, distribution: str) -> Plugin | None:
        """The plugin of that name in a distribution."""
        same = (p for p in self.all if (p.name, p.distribution) == (name, distribution))
        return next(same, None)

    def register(self, module: object, plugin: Plugin) -> None:
        """Add one plugin: a module or any object with hook implementations."""
        self.all.append(plugin)
        key = f"{plugin.name} {plugin.distribution}"
        unknown = list(unknown_arguments(module))
        if unknown:
            for fault in unknown:
                self.fault(plugin, fault)
            return
        try:
            self._manager.register(module, name=key)
        except Exception as error:
            self.fault(plugin, f"cannot be registered: {described(error)}", error)
            return
        self._registered[key] = plugin
        callers = self._manager.get_hookcallers(module) or []
        plugin.hooks = tuple(sorted(caller.name for caller in callers if caller.has_spec()))
        for fault in without_effect(module, callers):
            self.fault(plugin, fault)

    # --- faults ----------------------------------------------------------------------------------

    def fault(self, plugin: Plugin, message: str, error: BaseException | None = None) -> None:
        """Record what is wrong with a plugin, or raise it where ZOO_STRICT asks for that."""
        message = shortened(message)
        reason = "" if plugin.faults else _reason(plugin)
        if len(plugin.faults) >= FAULTS:
            message = "has more faults than these."
        if message not in plugin.faults:  # a hook that is called twice fails twice
            plugin.faults += [message, reason] if reason else [message]
        if error is not None and not plugin.traceback:
            plugin.traceback = "".join(traceback.format_exception(error))
        if self.strict:
            hint = f"It {reason}" if reason else ""
            raise PluginError(f"Plugin {plugin.title()} {message}", hint=hint) from error

    def fault_of(self, model: ModelInfo, message: str) -> None:
        """Record a fault of the plugin whose manifest has a model."""
        plugin = self.named(model.plugin, model.distribution)
        if plugin is not None:
            self.fault(plugin, message)

    # --- hooks -----------------------------------------------------------------------------------

    def results(self, hook: str, record: type, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Every item that every plugin returns for `hook`, by plugin name.

        Items that are no `record` are faults.
        """
        for plugin, returned in self._call(hook, arguments, record):
            yield from ((plugin, item) for item in returned)

    def run(self, hook: str, **arguments: Any) -> Iterator[Plugin]:
        """Call a hook that returns nothing: each plugin once it is through, also where it fails."""
        for plugin, _ in self._call(hook, arguments, None):
            yield plugin

    def _call(
        self, hook: str, arguments: dict[str, Any], record: type | None
    ) -> Iterator[tuple[Plugin, list[Any]]]:
        """Each plugin with what it returns: only items that are a sound `record`.

        Reading a list runs the plugin's code as well: it may be a generator, or anything.
        """
        caller = getattr(self._manager.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda i: i.plugin_name):
            plugin = self._registered[implementation.plugin_name]
            light, faults, sound = "torch" not in sys.modules, list[str](), list[Any]()
            error: BaseException | None = None
            try:
                wanted = [arguments[name] for name in implementation.argnames]
                with running(plugin, f"in {hook}"):
                    returned = implementation.function(*wanted)
                    if record is not None:
                        sound = list(_sound_items(returned, record, hook, faults))
            except KeyboardInterrupt:
                raise
            except BaseException as raised:  # also a panic of a Rust extension
                error = raised
                faults.append(f"fails in {hook}: {described(raised)}")
            if light and "torch" in sys.modules:
                plugin.slow = plugin.slow or f"imports torch in {hook}"
            for fault in faults:
                self.fault(plugin, fault, error)
            yield plugin, sound if error is None else []


def _sound_items(returned: Any, record: type, hook: str, faults: list[str]) -> Iterator[Any]:
    """The items that are a `record` with sound fields; `faults` gets what the others are."""
    if not isinstance(returned, Iterable) or isinstance(returned, (str, bytes)):
        got = "nothing" if returned is None else type(returned).__name__
        faults.append(f"returns {got} from {hook}, not a list.")
        return
    for count, item in enumerate(returned):
        if count == ITEMS:
            faults.append(
                f"returns more than {ITEMS:,} items from {hook}: the others are left out."
            )
            return
        fault = _fault_of_item(item, record, hook)
        if not fault:
            yield item
        elif fault not in faults:
            faults.append(fault)


def _fault_of_item(item: object, record: type, hook: str) -> str:
    """What is wrong with one thing that a hook returned, or nothing."""
    if not isinstance(item, record):
        got, wanted = type(item).__name__, record.__name__
        return f"returns a list with {got} from {hook}, not {wanted}."
    wrong = wrong_field(item)
    return f"returns {record.__name__} from {hook} {wrong}." if wrong else ""


def shortened(text: str) -> str:
    """A fault as it can be printed: it may quote texts of any length, with control characters."""
    text = text.strip()
    return readable_name(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


def _reason(plugin: Plugin) -> str:
    """Why a plugin may be broken; asked for only then, since it reads the plugin's metadata."""
    from zoo_core.plugins.requirements import built_for_another

    return "" if plugin.built_in else built_for_another(plugin.distribution)
