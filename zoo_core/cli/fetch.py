"""`zoo fetch NAME...`: weights before they are needed."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo, print_json, print_table


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, type=MODEL)
@click.option("--to", type=Path, metavar="DIR", help="Also copy them there, for another machine.")
@json_option
def command(names: tuple[str, ...], to: Path | None, as_json: bool) -> None:
    """Fetch and verify the weights of models: names, weights (resnet50.a1_in1k) or references (hf://…).

    Bring the folder of --to to a machine without a network, and set ZOO_CACHE=DIR there.
    """
    from zoo_core.weights.fetch import prefetch

    files = list({file.path: file for file in reversed(prefetch(names, to=to))}.values())[::-1]
    if as_json:
        print_json(files)
        return
    rows = [(file.name, megabytes(file.path), file.sha256[:12], str(file.path)) for file in files]
    print_table(("name", "MB", "sha256", "file"), dict.fromkeys(rows), right=("MB",))
    if to is not None:
        echo()
        echo(f"On the other machine: ZOO_CACHE={to} zoo …, or pretrained={str(to)!r}.")


def megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f}"
