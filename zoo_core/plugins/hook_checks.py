"""Whether the functions of a plugin are hooks as zoo has them: pluggy passes most faults over."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from pluggy import HookCaller

from zoo_core import hookspecs
from zoo_core.errors import did_you_mean

HOOKS = tuple(sorted(name for name in vars(hookspecs) if name.startswith("zoo_")))
_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD


def unknown_arguments(module: object) -> Iterator[str]:
    """What a plugin's functions ask for that their hooks do not give.

    pluggy refuses those too, some versions of it only after others were registered.
    """
    for hook in HOOKS:
        function = _attribute(module, hook)
        if function is None or not hasattr(function, "zoo_impl"):
            continue
        available = inspect.signature(getattr(hookspecs, hook)).parameters
        asked = inspect.signature(function).parameters.values()
        needed = [a.name for a in asked if a.default is a.empty and a.kind is _NAMED]
        unknown = [f'"{name}"' for name in needed if name not in available]
        if unknown:
            have = ", ".join(available) or "no arguments"
            yield f"asks for {', '.join(unknown)} in {hook}, which has {have}."


def without_effect(module: object, callers: Sequence[HookCaller]) -> Iterator[str]:
    """The functions of a plugin that nobody calls; `callers`: those of its hooks, from pluggy."""
    if not callers:
        yield "adds nothing: none of its functions is a @hookimpl."
    known = {caller.name for caller in callers if caller.has_spec()}
    for hook in HOOKS:
        if callers and hook not in known and callable(_attribute(module, hook)):
            yield f"has {hook}, which does nothing without @hookimpl."
    for caller in callers:
        if not caller.has_spec():
            hint = did_you_mean(caller.name, HOOKS)
            yield f'declares a hook "{caller.name}" that does not exist. {hint}'


def _attribute(module: object, name: str) -> Any:
    """What is there, without a module's own `__getattr__`, which may do anything."""
    return getattr(module, name) if name in dir(module) else None
