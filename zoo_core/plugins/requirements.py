"""What a distribution needs, and what pip is told; also which zoo-core a broken plugin was for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from zoo_core.version import __version__


def built_for_another(distribution: str) -> str:
    """What a plugin's metadata say against this zoo-core, and what to upgrade; mostly nothing.

    `distribution`: the name of an installed one; of others nothing is known.

    >>> built_for_another("zoo-core")
    ''
    """
    here = Version(__version__)
    for wanted in _wanted(distribution):
        if wanted.contains(here, prereleases=True):
            continue
        newer = any(c.operator in (">", ">=", "~=") and Version(c.version) > here for c in wanted)
        age, upgrade = ("a newer", "zoo-core") if newer else ("another", distribution)
        said = f"its metadata ask for zoo-core{wanted}, and this is {here}"
        return f"was built for {age} zoo-core: {said}. Try: pip install --upgrade {upgrade}"
    return ""


def _wanted(distribution: str) -> Iterator[SpecifierSet]:
    """The versions of zoo-core that a distribution asks for."""
    try:
        lines = requires(distribution) or []
    except (PackageNotFoundError, ValueError):  # ValueError: no name at all
        return
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name.lower().replace("_", "-") == "zoo-core":
            yield requirement.specifier


def unmet(requirement: str) -> str:
    """What is wrong about one requirement, as `timm is 0.9.2, not >=1.0.31`, or nothing."""
    from packaging.requirements import Requirement

    needed = Requirement(requirement)
    if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
        return ""
    have = version_of(needed.name)
    if have == "missing":
        return f"{needed.name} is missing"
    fits = needed.specifier.contains(have, prereleases=True)
    return "" if fits else f"{needed.name} is {have}, not {needed.specifier}"


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
