"""`zoo plugins new`: write the package of a new plugin."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.output import echo
from zoo_core.plugins.scaffold import KINDS, new_plugin


@click.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="architecture",
    show_default=True,
    help="What the plugin adds.",
)
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The folder to make it in; by default this one.",
)
@click.pass_context
def command(ctx: click.Context, name: str, kind: str, to: Path) -> None:
    """Make a package that is a plugin.

    It is called zoo-NAME, and works as it is: code, facts, tests, CI and README. Of the kind
    "weights" it brings weights for a network that there is; of the kind "source", a place that
    weights come from and go to, as NAME://.
    """
    root = ctx.find_root()
    taken = root.command.list_commands(root) if isinstance(root.command, click.Group) else ()
    made = new_plugin(name, kind=kind, to=to, commands=taken)
    echo(f"{made.folder} adds {made.adds}:")
    for path in made.files:
        echo(f"  {path}")
    echo()
    echo("Next:")
    for line in made.commands:
        echo(f"  {line}")
