"""`zoo export`: write a model as ONNX or torch.export."""

from __future__ import annotations

from typing import Any

import click

from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import echo, print_json
from zoo_core.cli.weights import chosen_model, weights_options


@click.command("export")
@model_argument()
@click.argument("file", metavar="FILE")
@weights_options
@click.option("--format", metavar="onnx|pt2", help="By default FILE's ending says it.")
@click.option("--batch-size", type=click.IntRange(min=1), help="By default any number of pictures.")
@click.option(
    "--pictures",
    multiple=True,
    metavar="PATH",
    help="A picture or folder to compare on, besides random ones. May be repeated.",
)
@click.option("--no-check", is_flag=True, help="Do not compare.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(
    model: str,
    file: str,
    weights: str | None,
    labels: str | None,
    config: dict[str, Any],
    format: str | None,
    batch_size: int | None,
    pictures: tuple[str, ...],
    no_check: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write MODEL, a name or a run's folder, to FILE: model.onnx for ONNX, model.pt2 for torch.

    The file is opened again, and appears only when it gives the model's scores.
    """
    from zoo_core.inference.export import export

    done = export(
        chosen_model(model, weights, labels, config),
        file,
        format=format,
        batch_size=batch_size,
        pictures=pictures or None,
        check=not no_check,
        force=force,
    )
    if as_json:
        print_json(done)
        return
    echo(f"Written to {done.path}: {done.size:,} bytes.")
    if done.difference is None:
        echo("It was not compared with the model.")
        return
    echo(
        f"On {done.pictures} pictures its scores are the model's, to {done.difference:.0e}"
        " of the largest."
    )
