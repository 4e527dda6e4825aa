"""zoo predict"""

from __future__ import annotations

import click

from zoo_core.cli.arguments import json_option, model_argument, name_or_path
from zoo_core.cli.output import print_json, print_table


@click.command("predict")
@model_argument()
@click.argument("pictures", nargs=-1, required=True)
@click.option("--top", default=3, show_default=True, help="How many classes to name.")
@json_option
def command(model: str, pictures: tuple[str, ...], top: int, as_json: bool) -> None:
    """Say what MODEL, a name or a run's folder, sees in PICTURES (files)."""
    from zoo_core.prediction import predict

    found = predict(name_or_path(model), pictures, top=top)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["picture"], *[f"{name} {value:.1%}" for name, value in one["top"]]) for one in found
    ]
    width = max(len(row) for row in rows)
    print_table(("picture", "likeliest", *[""] * (width - 2)), rows)
