"""The directory of known plugins: read where a name is unknown, and never a reason to install.

python -m zoo_core.plugins.known    writes docs/known-plugins.md anew
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DIRECTORY = Path(__file__).with_suffix(".toml")
PAGE = Path(__file__).parent.parent.parent / "docs" / "known-plugins.md"


@dataclass(frozen=True)
class KnownPlugin:
    """One entry; `install`: what `zoo plugins install` takes."""

    distribution: str
    install: str
    plugin: str
    summary: str
    home: str
    architectures: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    regularizers: tuple[str, ...] = ()


def known_plugins(directory: Path = DIRECTORY) -> list[KnownPlugin]:
    """All entries, by name.

    >>> [plugin.regularizers for plugin in known_plugins() if plugin.distribution == "zoo-cutout"]
    [('cutout',)]
    """
    tables = tomllib.loads(directory.read_text(encoding="utf-8"))
    return [_entry(distribution, table) for distribution, table in sorted(tables.items())]


def _entry(distribution: str, table: dict[str, str | list[str]]) -> KnownPlugin:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    return KnownPlugin(distribution, **values)  # type: ignore[arg-type]


def who_has(name: str, *lists: str) -> str:
    """Which plugin to install for a name that nothing installed has, or nothing.

    `name`: without weights; `zoo-acme:thing` is asked of this distribution alone. `lists`: those
    of an entry to look into.

    >>> who_has("cutout", "regularizers")
    'The plugin zoo-cutout has it: zoo plugins install ./docs/examples/zoo-cutout'
    """
    distribution, _, bare = name.rpartition(":")
    for plugin in known_plugins():
        names = [known for entries in lists for known in getattr(plugin, entries)]
        if bare in names and distribution in ("", plugin.distribution):
            return f"The plugin {plugin.distribution} has it{_installing(plugin)}"
    return ""


def how_to_get(model: str, distribution: str) -> str:
    """What to install for a model of a distribution that a file names.

    A stranger may have written that name, and it is given to a shell.
    """
    known = who_has(model, "models", "architectures")
    if known or not _DISTRIBUTION.fullmatch(distribution):
        return known
    return f"A plugin may do all that you may. If you trust it: pip install {distribution}"


_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _installing(plugin: KnownPlugin) -> str:
    try:
        version(plugin.distribution)
    except PackageNotFoundError:
        return f": zoo plugins install {plugin.install}"
    return ', and is installed, but broken or not named in ZOO_PLUGINS: run "zoo plugins".'


def page() -> str:
    """The directory as Markdown."""
    return "\n".join([INTRODUCTION, *(_section(plugin) for plugin in known_plugins())])


def _section(plugin: KnownPlugin) -> str:
    lists = ("architectures", "models", "regularizers")
    adds = [
        f"- {what}: {_listed(getattr(plugin, what))}" for what in lists if getattr(plugin, what)
    ]
    about = f"{plugin.summary[0].upper()}{plugin.summary[1:]}. More: {plugin.home}."
    command = f"```text\nzoo plugins install {plugin.install}\n```"
    return "\n".join([f"## {plugin.distribution}\n", f"{about}\n", *adds, f"\n{command}\n"])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


INTRODUCTION = """\
# Known plugins

Where a name is unknown and one of these has it, zoo says so. It installs nothing by itself, and
being listed here says nothing about what the code does: see [trust](trust.md) for how to look
first.

This page is made by `python -m zoo_core.plugins.known` from `zoo_core/plugins/known.toml`. To have
your plugin listed, add a table there.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Written to {PAGE}")
