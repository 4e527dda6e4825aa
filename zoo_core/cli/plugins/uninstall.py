"""`zoo plugins uninstall`: remove plugins with pip."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from zoo_core.cli.output import echo
from zoo_core.humanize import readable_name


class InstalledPlugin(click.ParamType):
    """The name of a plugin or its distribution; completes those of third parties."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from zoo_core.plugins.install import third_parties

        names = sorted({entry.name for entry in third_parties()})
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("uninstall")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=InstalledPlugin())
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(names: tuple[Any, ...], yes: bool) -> None:
    """Uninstall plugins with this Python's pip.

    NAME is a plugin, with or without zoo_ in front, or its distribution.
    """
    from zoo_core.plugins.install import distribution_of, uninstall

    distributions = list(dict.fromkeys(distribution_of(name) for name in names))
    listed = ", ".join(distributions)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Nobody is there to ask: say --yes.")
        if not click.confirm(f"Uninstall {readable_name(listed)}?"):
            echo("Nothing was uninstalled.")
            return
    uninstall(distributions)
    echo()
    echo(f"Uninstalled {listed}.")
