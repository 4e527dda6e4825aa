"""Checks of a plugin as a package: it loads, its import is cheap and clean, it has its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires
from typing import Any

from zoo_core.conformance.cases import Case, NotHere, Wish
from zoo_core.conformance.imports import import_cases
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.requirements import unmet


def package_cases(plugin: Plugin) -> Iterator[Case]:
    """The cases of a plugin itself. `plugin`: examined, so that its faults are known."""
    yield Case(plugin.name, "loads", lambda: loads(plugin))
    yield Case(plugin.name, "requirements", lambda: required(plugin.distribution))
    yield from import_cases(plugin)
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
