"""Checks of a plugin as a package: it loads, imports no torch, is quick, and has its metadata."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires
from typing import Any

from zoo_core.conformance.cases import Case, NotHere, Wish
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.requirements import unmet

LONG = 0.2  # seconds; twenty such plugins make everybody wait for four


def package_cases(plugin: Plugin) -> Iterator[Case]:
    """The cases of a plugin itself. `plugin`: examined, so that its faults are known."""
    yield Case(plugin.name, "loads", lambda: loads(plugin))
    yield Case(plugin.name, "requirements", lambda: required(plugin.distribution))
    yield Case(plugin.name, "imports no torch", lambda: imports_no_torch(plugin.module))
    yield Case(plugin.name, "import time", lambda: import_time(plugin.module))
    yield Case(plugin.name, "description", lambda: described(plugin.distribution))
    yield Case(plugin.name, "licence", lambda: licensed(plugin.distribution))


def loads(plugin: Plugin) -> str:
    """It imports, its hooks work, and nothing that it offers clashes."""
    if plugin.faults:
        fault = AssertionError("It " + " It ".join(plugin.faults))
        if plugin.traceback:
            fault.add_note(plugin.traceback)
        raise fault
    return ", ".join(plugin.hooks)


def required(distribution: str) -> None:
    """All that the distribution asks for is installed."""
    _metadata(distribution)
    wrong = [told for told in map(unmet, requires(distribution) or ()) if told]
    if wrong:
        raise AssertionError(f"{', '.join(wrong)}: pip install them, or mend dependencies.")


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


def described(distribution: str) -> None:
    """The distribution says what it is, in a line and in a README."""
    facts = _metadata(distribution)
    named = (("summary", "description"), ("description", "readme"))
    missing = [name for key, name in named if not facts.get(key)]
    if missing:
        what = " and ".join(missing)
        raise Wish(f"no {what}: pyproject.toml takes {what}, which package indexes show.")


def licensed(distribution: str) -> str:
    """The distribution says under which licence it is."""
    facts = _metadata(distribution)
    classifiers = [line for line in facts.get("classifier", ()) if line.startswith("License ::")]
    said = facts.get("license_expression") or facts.get("license") or next(iter(classifiers), "")
    if not said:
        raise Wish('no licence: write license = "…" into pyproject.toml.')
    return said.splitlines()[0]


def _metadata(distribution: str) -> dict[str, Any]:
    try:
        return metadata(distribution).json
    except (PackageNotFoundError, ValueError) as error:
        raise NotHere(f"{distribution} is no installed distribution.") from error


@functools.cache
def _probed(module: str) -> dict[str, Any]:
    return _probe(module)


def _probe(module: str) -> dict[str, Any]:
    if not module:
        raise NotHere("no module to import.")
    words = [sys.executable, "-m", "zoo_core.conformance.probe", module]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f'{module} does not import: see "loads".')
    return json.loads(done.stdout)
