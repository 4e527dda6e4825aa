"""`zoo plugins install`: add plugins with pip, and say whether they work."""

from __future__ import annotations

import click

from zoo_core.cli.output import echo


@click.command("install")
@click.argument("packages", metavar="PACKAGE...", nargs=-1, required=True)
@click.option("-e", "--editable", is_flag=True, help="Leave the code of a folder where it is.")
@click.option("-U", "--upgrade", is_flag=True, help="Take newer versions of what is installed.")
def command(packages: tuple[str, ...], editable: bool, upgrade: bool) -> None:
    """Install plugins with this Python's pip.

    PACKAGE is a name, a folder (./zoo-mynet) or an address, as pip takes them. A plugin is code: it
    may do all that you may. Install those whose authors you trust.
    """
    from zoo_core.errors import PluginError
    from zoo_core.plugins.install import install

    installed = install(packages, editable=editable, upgrade=upgrade)
    echo()
    for plugin in installed:
        echo(f"{plugin.title()} is installed: {plugin.health}.")
    broken = [plugin for plugin in installed if plugin.faults]
    if broken:
        names = ", ".join(plugin.name for plugin in broken)
        raise PluginError(
            f"{broken[0].title()} {broken[0].faults[0]}",
            hint=f'It is installed all the same. "zoo plugins" tells more about {names}.',
        )
    echo(f"Next: zoo plugins check {installed[0].name.removeprefix('zoo_')}")
