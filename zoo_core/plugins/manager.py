"""The plugins of a process, and the one way to call their hooks: who fails is recorded, not fatal.

Which plugins there are is not decided here, but by whoever registers them: see `load_plugins`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from zoo_core import hookspecs
from zoo_core.errors import PluginError, described
from zoo_core.plugins.hook_checks import HOOKS as HOOKS
from zoo_core.plugins.hook_checks import unknown_arguments, without_effect
from zoo_core.plugins.record_checks import wrong_field
from zoo_core.terminal.streams import aside
from zoo_core.types import ModelInfo

BUILT_IN = "zoo-core"


@dataclass
class Plugin:
    """One installed plugin, loaded or broken. `seconds`: the time that importing it took.

    `module`: what its entry point names. `slow`: why whoever lists the zoo waits for it, such as
    `imports torch`; it works all the same.
    """

    name: str
    distribution: str
    version: str
    module: str = ""
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)
    slow: str = ""
    traceback: str = ""

    @property
    def built_in(self) -> bool:
        return self.distribution == BUILT_IN

    @property
    def broken(self) -> bool:
        return bool(self.faults)

    @property
    def health(self) -> str:
        """`ok`, `slow` or `broken`."""
        return "broken" if self.broken else "slow" if self.slow else "ok"

    def title(self) -> str:
        """`name (distribution version)`, as messages say it."""
        return f"{self.name} ({self.distribution} {self.version})"


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
        message = message.strip()
        reason = "" if plugin.faults else _reason(plugin)
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
        for plugin, returned in self._call(hook, arguments):
            if not isinstance(returned, Iterable) or isinstance(returned, (str, bytes)):
                got = "nothing" if returned is None else type(returned).__name__
                self.fault(plugin, f"returns {got} from {hook}, not a list.")
                continue
            for item in returned:
                fault = _fault_of_item(item, record, hook)
                if fault:
                    self.fault(plugin, fault)
                else:
                    yield plugin, item

    def run(self, hook: str, **arguments: Any) -> Iterator[Plugin]:
        """Call a hook that returns nothing: each plugin once it is through, also where it fails."""
        for plugin, _ in self._call(hook, arguments):
            yield plugin

    def _call(self, hook: str, arguments: dict[str, Any]) -> Iterator[tuple[Plugin, Any]]:
        caller = getattr(self._manager.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda i: i.plugin_name):
            plugin = self._registered[implementation.plugin_name]
            light = "torch" not in sys.modules
            try:
                wanted = [arguments[name] for name in implementation.argnames]
                with aside():
                    returned = implementation.function(*wanted)
                    if isinstance(returned, Iterator):  # a generator fails here, not at its reader
                        returned = list(returned)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also a panic of a Rust extension
                self.fault(plugin, f"fails in {hook}: {described(error)}", error)
                returned = ()
            finally:
                if light and "torch" in sys.modules:
                    plugin.slow = plugin.slow or f"imports torch in {hook}"
            yield plugin, returned


def _fault_of_item(item: object, record: type, hook: str) -> str:
    """What is wrong with one thing that a hook returned, or nothing."""
    if not isinstance(item, record):
        got, wanted = type(item).__name__, record.__name__
        return f"returns a list with {got} from {hook}, not {wanted}."
    wrong = wrong_field(item)
    return f"returns {record.__name__} from {hook} {wrong}." if wrong else ""


def _reason(plugin: Plugin) -> str:
    """Why a plugin may be broken; asked for only then, since it reads the plugin's metadata."""
    from zoo_core.plugins.requirements import built_for_another

    return "" if plugin.built_in else built_for_another(plugin.distribution)
