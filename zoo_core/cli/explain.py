"""`zoo explain`: where in pictures a network looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import note, print_json, print_table
from zoo_core.cli.weights import chosen_model, weights_options
from zoo_core.errors import DataError

if TYPE_CHECKING:
    from zoo_core.explaining.explanation import Explanation


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
@click.option("--skip-unreadable", is_flag=True, help="Leave out what cannot be read, and say so.")
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
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Show where MODEL, a name or a run's folder, looks in PICTURES: files and folders.

    Writes each picture with the places that speak for its class in yellow and red (Grad-CAM), and
    index.html with the first 200.
    """
    from zoo_core.explaining.explain import explanations
    from zoo_core.explaining.explanation import html
    from zoo_core.inference.inputs import inputs
    from zoo_core.pages.sections import save_page

    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty. Choose another folder: --out DIR.")
    chosen = chosen_model(model, weights, labels, config)
    left_out: list[str] = []
    given = list(inputs(list(pictures), left_out))
    faults: list[str] = []
    found = explanations(
        chosen, given, label=label, stage=stage, faults=faults if skip_unreadable else None
    )
    rows, shown = _written(found, out, len(given), faults)
    for told in left_out:
        note(told)
    if faults:
        _say_skipped(faults, len(rows))
    if not rows:
        raise click.UsageError("There are no pictures.")
    page = save_page(html(shown, len(rows), len(faults)), out / "index.html")
    for told in dict.fromkeys(told for row in rows for told in row["notes"]):
        note(told)
    if as_json:
        print_json(rows)
        return
    cells = [(r["picture"], r["label"], f"{r['probability']:.1%}", r["file"]) for r in rows]
    print_table(("picture", "label", "probability", "file"), cells, right=("probability",))
    few = f"The first {len(shown)} of {len(rows):,}" if len(shown) < len(rows) else "All"
    note(f"{few} are in {page}.")


def _written(
    found: Iterator[Explanation], out: Path, total: int, faults: list[str]
) -> tuple[list[dict[str, Any]], list[Explanation]]:
    """What is said of each, whose overlay is written as it comes; and the first, for the page."""
    from zoo_core.explaining.explanation import SHOWN
    from zoo_core.progress import Bar

    rows: list[dict[str, Any]] = []
    shown: list[Explanation] = []
    with Bar("explaining", total=total, unit="pictures") as bar:
        for number, one in enumerate(found, 1):
            file = _file(number, one.name)
            _make(out)
            one.save(out / file)
            shown += [one] if number <= SHOWN else []
            rows.append({
                "picture": one.name, "label": one.label, "probability": one.probability,
                "stage": one.stage, "file": file, "notes": one.notes,
            })  # fmt: skip
            bar.step()
        bar.step(count=len(faults))
    return rows, shown


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be made: {error.strerror}.") from error


def _say_skipped(faults: list[str], others: int) -> None:
    """What could not be read. Raises DataError where that is all."""
    note(f"Skipped {len(faults)} that cannot be read:")
    for fault in faults:
        note(f"  {fault}")
    if not others:
        raise DataError(f"None of the {len(faults)} pictures can be read.", hint=faults[0])


def _file(number: int, name: str) -> str:
    """A name for the overlay of a picture that any file system takes."""
    return f"{number:03}-{re.sub(r'[^A-Za-z0-9._-]+', '_', Path(name).stem)[:60]}.png"
