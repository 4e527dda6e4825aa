"""A package that is not installed, checked as if it were: in a process of its own, in its folder.

That process finds the folder on its path, with metadata like those of an installation in a
temporary folder beside it. The environment stays as it is; whether the package can be built and
installed is another question, and the report says that it was not asked.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import PluginError
from zoo_core.files import content, text
from zoo_core.humanize import one_line
from zoo_core.plugins.entry_points import GROUP

MOST = 1_000_000  # bytes of a pyproject.toml or README
_NAME = r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?"  # of a distribution
_VERSION = r"[\w.+!-]+"
EXAMPLE = '[project.entry-points.zoo_core] with a line such as zoo_mynet = "zoo_mynet"'


@dataclass(frozen=True)
class Package:
    """A folder with a pyproject.toml: its name, its entry points, and where its modules are."""

    folder: Path
    name: str
    plugins: dict[str, str]
    modules: Path
    project: dict[str, Any]


def read_package(folder: Path) -> Package:
    """What a folder's pyproject.toml says. Raises PluginError where it has no plugin of zoo."""
    path = folder / "pyproject.toml"
    try:
        data = tomllib.loads(text(path, most=MOST))
    except OSError as error:
        raise PluginError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="A plugin that is not installed is the folder with its pyproject.toml.",
        ) from error
    except ValueError as error:
        raise PluginError(f"{path} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise PluginError(f"{path} is not valid TOML: nested too deeply.") from error
    project = _table(data, "project", path)
    plugins = _table(_table(project, "entry-points", path), GROUP, path)
    for key, rule in (("name", _NAME), ("version", _VERSION)):
        if not re.fullmatch(rule, str(project.get(key, "0"))):
            raise PluginError(f"{path}: {key} = {project[key]!r} in [project] is none.")
    if not isinstance(project.get("license", ""), str | dict):
        raise PluginError(f"{path}: license in [project] is a text or a table.")
    if not plugins or not all(isinstance(value, str) for value in plugins.values()):
        raise PluginError(
            f'{path} names no plugin: it has no entry point of the group "{GROUP}".',
            hint=f"Write {EXAMPLE}.",
        )
    name = str(project.get("name", folder.name))
    return Package(folder, name, plugins, _modules(folder, plugins), project)


def _table(data: Any, key: str, path: Path) -> dict[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise PluginError(f"{path}: {key} is no table.", hint=f"Write {EXAMPLE}.")
    return table


def _modules(folder: Path, plugins: dict[str, str]) -> Path:
    """The folder to put on the path: this one, or src in it."""
    roots = {value.partition(":")[0].partition(".")[0] for value in plugins.values()}
    for parent in (folder, folder / "src"):
        if all((parent / root).is_dir() or (parent / f"{root}.py").is_file() for root in roots):
            return parent
    names = ", ".join(sorted(roots))
    raise PluginError(
        f"{folder} has no module {names}, which its entry point names.",
        hint="It is looked for in the folder itself and in src.",
    )


@contextlib.contextmanager
def as_if_installed(package: Package) -> Iterator[dict[str, str]]:
    """The environment of a process in which a package is found as an installed one would be."""
    with tempfile.TemporaryDirectory() as temporary:
        name = package.name.replace("-", "_")
        info = Path(temporary) / f"{name}-{_version(package)}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(_metadata(package), encoding="utf-8")
        lines = [f"{key} = {value}" for key, value in package.plugins.items()]
        listed = "\n".join([f"[{GROUP}]", *lines])
        (info / "entry_points.txt").write_text(f"{listed}\n", encoding="utf-8")
        before = [path for path in [os.environ.get("PYTHONPATH", "")] if path]
        path = os.pathsep.join([temporary, str(package.modules.absolute()), *before])
        yield {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _version(package: Package) -> str:
    return str(package.project.get("version", "0"))


def _metadata(package: Package) -> str:
    """The core metadata that a build would write, as far as pyproject.toml itself has them."""
    project = package.project
    readme = project.get("readme")
    file = readme.get("file") if isinstance(readme, dict) else readme
    about = ""
    if isinstance(file, str) and (package.folder / file).is_file():
        about = content(package.folder / file, most=MOST).decode("utf-8", "replace")
    licence = project.get("license")
    said = licence if isinstance(licence, str) else next(iter((licence or {}).values()), "")
    lines = ["Metadata-Version: 2.4", f"Name: {package.name}", f"Version: {_version(package)}"]
    lines += [f"Summary: {one_line(project['description'])}"] if "description" in project else []
    lines += [f"License-Expression: {one_line(said)}"] if said else []
    lines += [f"Classifier: {line}" for line in project.get("classifiers", ())]
    lines += [f"Requires-Dist: {line}" for line in project.get("dependencies", ())]
    return "\n".join([*lines, "", about])
