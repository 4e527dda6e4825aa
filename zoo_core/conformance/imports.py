"""Checks of a plugin's import: what it costs everybody, changes for them, and leaves behind."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from zoo_core.conformance.cases import Case, NotHere, Wish
from zoo_core.humanize import some
from zoo_core.plugins.manager import Plugin

LONG = 0.2  # seconds; twenty such plugins make everybody wait for four
PATIENCE = 60  # seconds for an import that does not end

# what was seen -> how the line about it begins, and what to do
LEFT = {
    "threads": ("leaves threads running: {}", "start them inside functions, when they are needed"),
    "programs": ("starts another program: {}", "start it inside functions, when it is needed"),
    "connections": ("opens a connection: {}", "ask the network inside functions, where asked to"),
    "files": ("writes files: {}", "write inside functions, where the user says"),
}
CLEAN = "import changes nothing"
INSIDE = "set it inside functions, and put it back"


def import_cases(plugin: Plugin) -> Iterator[Case]:
    """The cases of importing a plugin, and one for each thing that its import changes or leaves.

    To know those it is imported here, in a process of its own.
    """
    name, module = plugin.name, plugin.module
    yield Case(name, "imports no torch", lambda: imports_no_torch(module))
    yield Case(name, "import time", lambda: import_time(module))
    with contextlib.suppress(NotHere, AssertionError):  # which the cases above tell
        for look in _found(_probed(module)):
            yield Case(name, CLEAN, look)


def _found(seen: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """A look for each thing that was seen, which raises it."""
    for changed in seen["changed"]:
        fault = AssertionError(f"importing it changes {changed}: {INSIDE}.")
        yield functools.partial(_raise, fault)
    for key, (words, advice) in LEFT.items():
        if seen[key]:
            told = words.format(some(seen[key], most=3))
            yield functools.partial(_raise, AssertionError(f"importing it {told}: {advice}."))
    if seen["handlers"]:
        told = f"importing it registers an exit handler: {some(seen['handlers'])}"
        yield functools.partial(_raise, Wish(f"{told}: register it where it has something to do."))


def imports_no_torch(module: str) -> None:
    """Neither importing it nor asking what it offers imports torch, so that listing is quick."""
    place = _probed(module)["torch"]
    if place:
        raise AssertionError(f"{place} imports torch: import it inside functions.")


def import_time(module: str) -> str:
    """Importing it takes no time that people notice."""
    seconds = _probed(module)["seconds"]
    if seconds > LONG:  # perhaps the machine was busy, or the files were cold
        seconds = min(seconds, _probe(module)["seconds"])
    if seconds > LONG:
        raise Wish(f"importing {module} takes {seconds:.2f} s: import inside functions.")
    return f"{seconds:.3f} s"


def _raise(reason: Exception) -> None:
    raise reason


@functools.cache
def _probed(module: str) -> dict[str, Any]:
    return _probe(module)


def _probe(module: str) -> dict[str, Any]:
    if not module:
        raise NotHere("no module to import.")
    words = [sys.executable, "-m", "zoo_core.conformance.probe", module]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"importing {module} does not end within {PATIENCE} s.") from error
    except ValueError as error:
        raise NotHere(f'{module} does not import: see "loads".') from error
