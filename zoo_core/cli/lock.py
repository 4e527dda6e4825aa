"""`zoo lock NAME...`: pin what a project uses."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo, print_json, print_table


@click.command("lock")
@click.argument("names", nargs=-1, required=True, type=MODEL)
@click.option(
    "--file", type=Path, default=Path("zoo.lock"), show_default=True, help="The lock to write."
)
@json_option
def command(names: tuple[str, ...], file: Path, as_json: bool) -> None:
    """Write the revision and sha256 of weights into zoo.lock, as they are now.

    In the folder of a zoo.lock, weights with other bytes are refused. Commit it with your project.
    """
    from zoo_core.weights.fetch import lock

    pins = lock(names, file)
    if as_json:
        print_json({source: {"sha256": p.sha256, "pinned": p.pinned} for source, p in pins.items()})
        return
    rows = [(pin.sha256[:12], pin.pinned) for pin in pins.values()]
    print_table(("sha256", "pinned"), rows)
    echo()
    echo(f"Written to {file}.")
