"""`zoo explain`: where in pictures a network looks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import note, print_json, print_table
from zoo_core.cli.weights import chosen_model, weights_options


@click.command("explain")
@model_argument()
@click.argument("pictures", nargs=-1, required=True)
@weights_options
@click.option("--label", metavar="CLASS", help="For this class; by default for the likeliest.")
@click.option("--stage", metavar="STAGE", help="Look at what enters it; by default the last map.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("explained"),
    show_default=True,
    metavar="DIR",
    help="A new or empty folder for the pictures and a page of them.",
)
@json_option
def command(
    model: str,
    pictures: tuple[str, ...],
    weights: str | None,
    labels: str | None,
    config: dict[str, Any],
    label: str | None,
    stage: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Show where MODEL, a name or a run's folder, looks in PICTURES: files and folders.

    Writes each picture with the places that speak for its class in yellow and red (Grad-CAM), and
    index.html with all of them.
    """
    from zoo_core.explaining.explain import explanations
    from zoo_core.explaining.explanation import html
    from zoo_core.inference.inputs import inputs
    from zoo_core.pages.sections import save_page

    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty. Choose another folder: --out DIR.")
    chosen = chosen_model(model, weights, labels, config)
    found = list(explanations(chosen, inputs(list(pictures)), label=label, stage=stage))
    if not found:
        raise click.UsageError("There are no pictures.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be made: {error.strerror}.") from error
    files = [_file(number, one.name) for number, one in enumerate(found, 1)]
    for one, file in zip(found, files, strict=True):
        one.save(out / file)
    page = save_page(html(found), out / "index.html")
    for told in dict.fromkeys(told for one in found for told in one.notes):
        note(told)
    pairs = list(zip(found, files, strict=True))
    if as_json:
        print_json([
            {"picture": one.name, "label": one.label, "probability": one.probability,
             "stage": one.stage, "file": file, "notes": one.notes}
            for one, file in pairs
        ])  # fmt: skip
        return
    rows = [(one.name, one.label, f"{one.probability:.1%}", file) for one, file in pairs]
    print_table(("picture", "label", "probability", "file"), rows, right=("probability",))
    note(f"All are in {page}.")


def _file(number: int, name: str) -> str:
    """A name for the overlay of a picture that any file system takes."""
    return f"{number:03}-{re.sub(r'[^A-Za-z0-9._-]+', '_', Path(name).stem)[:60]}.png"
