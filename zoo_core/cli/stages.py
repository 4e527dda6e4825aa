"""`zoo stages NAME`: a model as its ordered stages."""

from __future__ import annotations

from typing import Any

import click

from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo_lines, print_json
from zoo_core.cli.weights import check_weights, weights_options


@click.command("stages")
@click.argument("name", type=MODEL)
@weights_options
@click.option(
    "--keep-until",
    metavar="STAGE",
    help="Keep what feeds STAGE, with a pooling and a head of its own; drop the rest.",
)
@click.option(
    "--freeze-until",
    metavar="LAYER",
    help="Freeze all that feeds LAYER: a stage, or a module's path.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    name: str,
    weights: str | None,
    labels: str | None,
    config: dict[str, Any],
    keep_until: str | None,
    freeze_until: str | None,
    as_json: bool,
) -> None:
    """Show the stages of a model in order: output shape, parameters, and what trains.

    NAME is a model, whose weights are not fetched, a reference (hf://…) or the path of a run. With
    --weights the classes are those of the weights, which must fit; --labels must fit these.
    """
    from zoo_core.model.create import create
    from zoo_core.model.summary import stage_rows
    from zoo_core.weights.pretrained import brings_weights

    named = check_weights(name, weights)
    if keep_until is not None:
        config["keep_until"] = keep_until
    own = None if brings_weights(named) else False
    model = create(
        named,
        pretrained=weights or own,
        labels=labels,
        freeze_until=freeze_until,
        **config,
    )
    if as_json:
        print_json(stage_rows(model))
    else:
        echo_lines(model.summary())
