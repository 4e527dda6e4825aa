"""What each plugin adds to the zoo, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import click

from zoo_core.humanize import natural
from zoo_core.plugins.catalogue import Catalogue
from zoo_core.plugins.manager import Plugin, Plugins
from zoo_core.types import RegularizerSpec, WeightSource


@dataclass
class Offers:
    """The names that one plugin adds; `models` are those that it builds or has facts about."""

    architectures: list[str]
    models: list[str]
    regularizers: list[str]
    weight_sources: list[str]
    commands: list[str]

    def counted(self) -> str:
        """How many of each there are.

        >>> Offers(["tiny"], ["tinynet", "tinynet_wide"], [], [], ["play"]).counted()
        '1 architecture, 2 models, 1 command'
        """
        counts = {f.name.replace("_", " "): len(getattr(self, f.name)) for f in fields(self)}
        parts = [f"{n:,} {what if n > 1 else what[:-1]}" for what, n in counts.items() if n]
        return ", ".join(parts) or "nothing"


def add_commands(plugins: Plugins, group: click.Group) -> Iterator[Plugin]:
    """Let each plugin add its commands to a group; what is no command is that plugin's fault."""
    for plugin in plugins.run("zoo_commands", group=group):
        for name, added in list(group.commands.items()):
            if not isinstance(added, click.Command):
                del group.commands[name]
                plugins.fault(plugin, f'adds "{name}", which is no command of click.')
        yield plugin


def offers(known: Catalogue, group: click.Group) -> list[tuple[Plugin, Offers]]:
    """All plugins and what each adds; `group`: an empty one, which takes their commands.

    Asks every hook, so that each plugin's faults are recorded.
    """
    known.examine()
    plugins = known.plugins
    by_plugin = {id(plugin): Offers([], [], [], [], []) for plugin in plugins.all}
    for architecture, plugin in known.makers():
        by_plugin[id(plugin)].architectures.append(architecture.name)
    for owner, name in known.names_by_plugin():
        by_plugin[id(owner)].models.append(name)
    for plugin, spec in plugins.results("zoo_regularizers", RegularizerSpec):
        by_plugin[id(plugin)].regularizers.append(spec.name)
    for plugin, source in plugins.results("zoo_weight_sources", WeightSource):
        by_plugin[id(plugin)].weight_sources.append(source.scheme)
    seen: set[str] = set()
    for plugin in add_commands(plugins, group):
        by_plugin[id(plugin)].commands += sorted(group.commands.keys() - seen)
        seen |= group.commands.keys()
    for own in by_plugin.values():
        own.models.sort(key=natural)
    return [(plugin, by_plugin[id(plugin)]) for plugin in plugins.all]
