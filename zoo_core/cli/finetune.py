"""zoo finetune"""

from __future__ import annotations

from typing import Any

import click

from zoo_core.cli.arguments import json_option, model_argument, name_or_path
from zoo_core.cli.output import print_json


@click.command("finetune")
@model_argument()
@click.option(
    "--data",
    required=True,
    metavar="SPEC",
    help="digits, mnist5k, idx:DIR or folder:DIR; #train, #test.",
)
@click.option(
    "--val", metavar="SPEC", help="Pictures to validate with; by default a fifth of the data."
)
@click.option(
    "--no-val", is_flag=True, help="No validation: train on everything, keep the last weights."
)
@click.option(
    "--freeze-until",
    metavar="LAYER",
    help="Train this stage or module and all after it; freeze the rest.",
)
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--lr", type=float, help="Learning rate; by default 1e-3 for adamw, 1e-2 for sgd.")
@click.option("--optimizer", default="adamw", show_default=True, metavar="adamw|sgd")
@click.option(
    "-r",
    "--regularizer",
    "regularizers",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="May be repeated.",
)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Random crops and flips; by default unless only the head trains.",
)
@click.option("--precision", default="auto", show_default=True, metavar="auto|no|bf16|fp16")
@click.option("--compile", is_flag=True, help="Compile the model with torch.compile.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--workers", type=int, help="Processes that read pictures; chosen by the data by default."
)
@click.option(
    "--out", metavar="DIR", help="The run folder, new or empty; by default a new one in runs/."
)
@json_option
def command(
    model: str,
    val: str | None,
    no_val: bool,
    augment: bool | None,
    workers: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Fine-tune MODEL, by name (pretrained, with the classes of the data) or a run's folder."""
    from zoo_core.training import finetune

    if no_val and val:
        raise click.UsageError("--val and --no-val exclude each other.")
    run = finetune(
        name_or_path(model),
        val=False if no_val else val,
        augment="auto" if augment is None else augment,
        workers="auto" if workers is None else workers,
        **given,
    )
    if as_json:
        print_json({"path": str(run.path), "best": run.best, "history": run.history})
        return
    if run.accuracy is not None:
        click.echo(f"{run.accuracy:.1%} on validation after epoch {run.best['epoch']}. ", nl=False)
    click.echo(f"The run is in {run.path}.")
    click.echo(f"Next: zoo predict {run.path} PICTURE...")
