"""`zoo stages NAME`: a model as its ordered stages."""

from __future__ import annotations

import click

from zoo_core.cli.names import MODEL
from zoo_core.cli.output import print_json


@click.command("stages")
@click.argument("name", type=MODEL)
@click.option(
    "--freeze-until",
    metavar="LAYER",
    help="Freeze all that feeds LAYER: a stage, or a module's path.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, freeze_until: str | None, as_json: bool) -> None:
    """Show the stages of a model in order: output shape, parameters, and what trains.

    NAME is a model, or the path of a run. No weights are fetched.
    """
    from zoo_core.building import create, is_path
    from zoo_core.model import stage_table

    model = create(name, pretrained=None if is_path(name) else False, freeze_until=freeze_until)
    if as_json:
        print_json(stage_table(model))
    else:
        click.echo(model.summary())
