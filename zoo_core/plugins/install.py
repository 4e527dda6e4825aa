"""install() and uninstall(): plugins by the running Python's pip, and what came of it.

Which distributions came or went is read here; whether they work is asked of a new process, since
this one has read its plugins already.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PathDistribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.files import text
from zoo_core.plugins.entry_points import GROUP, installed_entries, owner
from zoo_core.plugins.manager import BUILT_IN

LONGEST_WAIT = 120  # seconds for a plugin that never ends its import
MOST = 1_000_000  # bytes of a pyproject.toml
_NO_ENTRY = f"nothing there has an entry point in the group {GROUP}"


@dataclass(frozen=True)
class Installed:
    """A plugin as a new process finds it. `faults`: what is wrong with it."""

    name: str
    distribution: str
    version: str
    health: str
    faults: tuple[str, ...] = ()

    def title(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


# --- installing ----------------------------------------------------------------------------------


def install(
    packages: Sequence[str], *, editable: bool = False, upgrade: bool = False
) -> list[Installed]:
    """Install packages into the running Python, and return the plugins that came with them.

    `packages`: as pip takes them: paths, names, names with versions, addresses. A folder with a
    project is a path, also without `./` in front. `editable`: leave the code of paths where it is.
    `upgrade`: take newer versions of what is installed. What pip says goes to this process's own
    streams. Those that were there already, in the version asked for, are returned too. Raises
    PluginError where pip fails, and where nothing that was asked for is a plugin: before pip is
    asked, where the packages tell.
    """
    wanted = [_path_or_requirement(package) for package in packages]
    if all(map(_is_no_plugin, wanted)):
        raise PluginError(
            f"No plugin is in {', '.join(packages)}: {_NO_ENTRY}. Nothing was installed.",
            hint=f"pip installs what is no plugin: pip install {shlex.join(packages)}",
        )
    words = ["--upgrade"] if upgrade else []
    for package in wanted:
        words += ["--editable", package] if editable else []
    before = _written()
    if pip("install", *words, *([] if editable else ["--", *wanted])) != 0:
        raise PluginError(
            f"Nothing was installed: pip failed with {', '.join(packages)}.",
            hint="It says why above. A package's name starts with zoo-, a folder's with ./",
        )
    after = _written()
    names = {name for name in after if after[name] != before.get(name)}
    names |= {name for name in map(_name_of, wanted) if name in after}
    if not names:
        raise PluginError(
            f"No plugin is in {', '.join(packages)}: {_NO_ENTRY}.",
            hint='pip has installed it: "pip uninstall NAME" takes it away again.',
        )
    return [plugin for plugin in examined() if plugin.distribution in names]


def _path_or_requirement(package: str) -> str:
    """A folder with a project as its whole path; all else as it is."""
    path = Path(package).expanduser()
    projects = (path / "pyproject.toml", path / "setup.py")
    return str(path.resolve()) if any(project.is_file() for project in projects) else package


def _is_no_plugin(package: str) -> bool:
    """Whether a folder or a wheel says of itself that it has no plugin; of others nobody knows."""
    path = Path(package)
    try:
        if path.suffix == ".whl":
            inside = zipfile.Path(path).iterdir()
            metadata = [folder for folder in inside if folder.name.endswith("-info")]
            return not any(PathDistribution(m).entry_points.select(group=GROUP) for m in metadata)
        project = tomllib.loads(text(path / "pyproject.toml", most=MOST))["project"]
        entries, made_later = project.get("entry-points", {}), project.get("dynamic", ())
        return GROUP not in entries and "entry-points" not in made_later
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return False
    except zipfile.BadZipFile:
        return False  # what is wrong with it is pip's to say


def _name_of(package: str) -> str:
    """The distribution that a requirement names; nothing for a path."""
    try:
        return canonicalize_name(Requirement(package).name)
    except InvalidRequirement:
        return ""


def _written() -> dict[str, int]:
    """When each distribution with plugins was installed, by its name."""
    importlib.invalidate_caches()
    return {owner(entry): _time(entry.dist) for entry in third_parties() if entry.dist}


def _time(distribution: Distribution) -> int:
    """When the list of a distribution's files was written: installers do it at the end."""
    records = [file for file in distribution.files or () if file.name == "RECORD"]
    paths = [Path(str(record.locate())) for record in records]
    return max((path.stat().st_mtime_ns for path in paths if path.exists()), default=0)


def examined() -> list[Installed]:
    """All plugins, as a new process finds them.

    Raises PluginError where that process fails: a plugin ends it, or zoo-core is broken now.
    """
    ignored = ("ZOO_PLUGINS", "ZOO_STRICT")
    clean = {key: value for key, value in os.environ.items() if key not in ignored}
    ask = [sys.executable, "-P", "-m", "zoo_core", "plugins", "--json"]
    try:
        done = subprocess.run(
            ask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=clean,
            timeout=LONGEST_WAIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(
            f"zoo does not list its plugins within {LONGEST_WAIT} s any more.",
            hint="Uninstall what came last: zoo plugins uninstall NAME",
        ) from error
    try:
        rows = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PluginError(
            f"zoo does not list its plugins any more: {last}",
            hint="Uninstall what came last: zoo plugins uninstall NAME",
        ) from error
    return [
        Installed(
            row["name"], row["distribution"], row["version"], row["health"], tuple(row["faults"])
        )
        for row in rows
    ]


# --- uninstalling --------------------------------------------------------------------------------


def distribution_of(name: str) -> str:
    """The distribution of a plugin: `zoo_mynet`, `mynet` and `zoo-mynet` are all `zoo-mynet`.

    Raises UnknownName with the closest, PluginError for what comes with zoo itself, and where
    several distributions have a plugin of that name.
    """
    asked = canonicalize_name(name)
    entries, _ = installed_entries()
    owners = {owner(e) for e in entries if asked in (owner(e), canonicalize_name(e.name))}
    owners = owners or {owner(e) for e in entries if f"zoo-{asked}" == canonicalize_name(e.name)}
    if asked in owners:
        owners = {asked}
    if owners == {BUILT_IN}:
        raise PluginError(
            f"{name} comes with zoo-core and cannot be uninstalled alone.",
            hint="To do without zoo as a whole: pip uninstall zoo-core",
        )
    if len(owners) > 1:
        raise PluginError(
            f"{' and '.join(sorted(owners))} each have a plugin {name}.",
            hint="Name the distribution.",
        )
    if not owners:
        names = {own for e in third_parties() for own in (e.name, owner(e))}
        near = did_you_mean(name, names | {own.removeprefix("zoo_") for own in names})
        raise UnknownName(
            f'No plugin "{name}" is installed. {near}'.strip(), hint='Run "zoo plugins".'
        )
    return owners.pop()


def uninstall(distributions: Sequence[str]) -> None:
    """Uninstall distributions, as `distribution_of` names them, from the running Python.

    Raises PluginError where pip fails, or leaves them there.
    """
    failed = pip("uninstall", *distributions) != 0
    left = [name for name in distributions if name in _written()]
    if failed or left:
        raise PluginError(
            f"pip left {', '.join(left or distributions)} where it was: it says why above.",
            hint="What another tool or another environment installed, only that can remove.",
        )


def third_parties() -> list[EntryPoint]:
    """The plugins that do not come with zoo, not loaded."""
    entries, _ = installed_entries()
    return [entry for entry in entries if entry.dist and owner(entry) != BUILT_IN]


def pip(verb: str, *words: str) -> int:
    """Run `pip VERB WORDS...` and return its exit code; nothing is asked.

    `verb`: install or uninstall. Raises PluginError where there is neither pip nor uv.
    """
    yes = ["--yes"] if verb == "uninstall" else []
    if find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", verb, *yes]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", verb, "--python", sys.executable]
    else:
        raise PluginError(
            f"{sys.executable} has no pip, and there is no uv on the PATH.",
            hint=f"Give it one: {sys.executable} -m ensurepip",
        )
    return subprocess.run([*command, *words], check=False).returncode
