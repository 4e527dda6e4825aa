"""zoo evaluate"""

from __future__ import annotations

import click

from zoo_core.cli.arguments import json_option, model_argument, name_or_path
from zoo_core.cli.output import print_json, print_table


@click.command("evaluate")
@model_argument()
@click.option(
    "--data",
    required=True,
    metavar="SPEC",
    help="digits#test, mnist5k#test, idx:DIR#test or folder:DIR.",
)
@click.option("--batch-size", default=64, show_default=True)
@json_option
def command(model: str, data: str, batch_size: int, as_json: bool) -> None:
    """Measure MODEL, a name (its default weights) or a run's folder, on data."""
    from zoo_core.evaluation import evaluate

    found = evaluate(name_or_path(model), data, batch_size=batch_size)
    if as_json:
        print_json(found)
        return
    rows = [(name, f"{value:.1%}") for name, value in found["per_class"].items()]
    print_table(("class", "right"), rows, right=("right",))
    click.echo(f"{found['accuracy']:.2%} of {found['count']} right, log-loss {found['loss']:.4f}")
