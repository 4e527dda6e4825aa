"""Entry points -> a pluggy manager, one plugin at a time: a broken plugin is recorded, never fatal.

`ZOO_PLUGINS=a,b` loads only those third-party entry points (empty: none); the built-ins, known by
their distribution, always load. `ZOO_STRICT=1` raises the first failure instead of recording it.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from zoo_core import hookspecs
from zoo_core.errors import PluginError, did_you_mean
from zoo_core.plugins.record_checks import wrong_field

BUILT_IN = "zoo-core"
HOOKS = tuple(sorted(name for name in vars(hookspecs) if name.startswith("zoo_")))


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

    def register(self, module: object, plugin: Plugin) -> None:
        """Add one plugin: a module or any object with hook implementations."""
        self.all.append(plugin)
        key = f"{plugin.name} {plugin.distribution}"
        unknown = list(_unknown_arguments(module))
        if unknown:
            for fault in unknown:
                self.fault(plugin, fault)
            return
        try:
            self._manager.register(module, name=key)
        except Exception as error:
            self.fault(plugin, f"cannot be registered: {one_line(error)}", error)
            return
        self._registered[key] = plugin
        callers = self._manager.get_hookcallers(module) or []
        if not callers:
            self.fault(plugin, "adds nothing: none of its functions is a @hookimpl.")
        plugin.hooks = tuple(sorted(caller.name for caller in callers if caller.has_spec()))
        for hook in HOOKS:
            if callers and hook not in plugin.hooks and callable(_attribute(module, hook)):
                self.fault(plugin, f"has {hook}, which does nothing without @hookimpl.")
        for caller in callers:
            if not caller.has_spec():
                hint = did_you_mean(caller.name, HOOKS)
                self.fault(plugin, f'declares a hook "{caller.name}" that does not exist. {hint}')

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

    def results(self, hook: str, kind: type, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Every item that every plugin returns for `hook`, by plugin name.

        Items of the wrong type are faults.
        """
        for plugin, returned in self._call(hook, arguments):
            if not isinstance(returned, Iterable) or isinstance(returned, (str, bytes)):
                got = "nothing" if returned is None else type(returned).__name__
                self.fault(plugin, f"returns {got} from {hook}, not a list.")
                continue
            for item in returned:
                wrong = wrong_field(item) if isinstance(item, kind) else ""
                if wrong:
                    self.fault(plugin, f"returns {kind.__name__} from {hook} {wrong}.")
                elif isinstance(item, kind):
                    yield plugin, item
                else:
                    got, wanted = type(item).__name__, kind.__name__
                    self.fault(plugin, f"returns a list with {got} from {hook}, not {wanted}.")

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
                with contextlib.redirect_stdout(sys.stderr):
                    returned = implementation.function(*wanted)
                    if isinstance(returned, Iterator):  # a generator fails here, not at its reader
                        returned = list(returned)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also a panic of a Rust extension
                self.fault(plugin, f"fails in {hook}: {one_line(error)}", error)
                returned = ()
            finally:
                if light and "torch" in sys.modules:
                    plugin.slow = plugin.slow or f"imports torch in {hook}"
            yield plugin, returned


def _reason(plugin: Plugin) -> str:
    """Why a plugin may be broken; asked for only then, since it reads the plugin's metadata."""
    from zoo_core.plugins.requirements import built_for_another

    return "" if plugin.built_in else built_for_another(plugin.distribution)


def _unknown_arguments(module: object) -> Iterator[str]:
    """What a plugin's functions ask for that their hooks do not give.

    pluggy refuses those too, some versions of it only after others were registered.
    """
    for hook in HOOKS:
        function = _attribute(module, hook)
        if function is None or not hasattr(function, "zoo_impl"):
            continue
        given = inspect.signature(getattr(hookspecs, hook)).parameters
        asked = inspect.signature(function).parameters.values()
        unknown = [a.name for a in asked if a.default is a.empty and a.kind is _NAMED]
        unknown = [f'"{name}"' for name in unknown if name not in given]
        if unknown:
            have = ", ".join(given) or "no arguments"
            yield f"asks for {', '.join(unknown)} in {hook}, which has {have}."


def _attribute(module: object, name: str) -> Any:
    """What is there, without a module's own `__getattr__`, which may do anything."""
    return getattr(module, name) if name in dir(module) else None


_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text}"
