"""`zoo predict`: classify pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.answers import html_option
from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import echo_lines, note, print_table
from zoo_core.cli.saving import EarlierFile, check_apart, csv_text, json_text, save
from zoo_core.cli.streams import takes_any_text
from zoo_core.cli.weights import chosen_model, weights_options

if TYPE_CHECKING:
    from zoo_core.inference.predict import Answers
    from zoo_core.inference.predictions import Prediction

PREDICTIONS = rb"\s*(\[\s*[{\]]|picture,label,probability)"  # how JSON and CSV of them begin


@click.command("predict")
@model_argument()
@click.argument("pictures", nargs=-1, required=True)
@weights_options
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--skip-unreadable", is_flag=True, help="Leave out what cannot be read, and say so.")
@click.option(
    "--bits",
    type=click.IntRange(8, 32),
    help="How many bits are used of pixels with more than 8, where files do not say it.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each picture.")
@html_option
@click.option(
    "--out",
    type=EarlierFile(PREDICTIONS, "predictions"),
    metavar="FILE",
    help="Write to FILE, as JSON unless it ends with .csv.",
)
def command(
    model: str,
    pictures: tuple[str, ...],
    weights: str | None,
    labels: str | None,
    config: dict[str, Any],
    top: int,
    batch_size: int,
    skip_unreadable: bool,
    bits: int | None,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
    out: Path | None,
) -> None:
    """Say what MODEL, a name or a run's folder, sees in PICTURES: files, folders, .npy arrays."""
    from zoo_core.inference.predict import answers

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if as_csv:
        _no_file_among(pictures)
    check_apart(html=html, out=out)
    unreadable = "skip" if skip_unreadable else "stop"
    found = answers(
        chosen_model(model, weights, labels, config),
        pictures,
        top=top,
        batch_size=batch_size,
        unreadable=unreadable,
        bits=bits,
    )
    predictions = found.predictions
    if not predictions:
        raise click.UsageError("There are no pictures.")
    if html is not None:
        _save_page(html, model, found, bits)
    as_csv = as_csv or (out is not None and out.suffix == ".csv" and not as_json)
    ascii_only = out is None and not takes_any_text()
    text = _csv(predictions) if as_csv else json_text(predictions, ascii_only=ascii_only)
    if out is not None:
        save(out, text)
        note(f"{len(predictions)} predictions are in {out}.")
    elif as_csv or as_json:
        echo_lines(text)
    else:
        several = "labels" in predictions[0]
        rows = [(one["picture"], *_said(one), _ranked(one)) for one in predictions]
        print_table(("picture", *(["above one half"] if several else []), "likeliest"), rows)


def _no_file_among(pictures: tuple[str, ...]) -> None:
    """Elsewhere --csv takes a file, so somebody may give it one here."""
    for name in pictures:
        if name.endswith(".csv"):
            raise click.UsageError(f"--csv prints the table; --out {name} writes it there.")


def _save_page(path: Path, model: str, found: Answers, bits: int | None) -> None:
    from zoo_core.inference.prediction_page import html
    from zoo_core.pages.sections import save_page

    note(f"The page is in {save_page(html(str(model), found, bits), path)}.")


def _said(one: Prediction) -> list[str]:
    """The classes of one of several labels, as the only cell of a list; else no cell."""
    return ["; ".join(one["labels"]) or "none"] if "labels" in one else []


def _ranked(one: Prediction) -> str:
    return "; ".join(f"{name} {value:.1%}" for name, value in one["top"])


def _csv(predictions: list[Prediction]) -> str:
    """picture, label, probability, label_2, probability_2, …; labels, between |, of several."""
    header = ["picture", "label", "probability"]
    for rank in range(2, len(predictions[0]["top"]) + 1):
        header += [f"label_{rank}", f"probability_{rank}"]
    rows = [[p["picture"], *(cell for pair in p["top"] for cell in pair)] for p in predictions]
    if "labels" in predictions[0]:
        header.append("labels")
        rows = [[*row, "|".join(p["labels"])] for row, p in zip(rows, predictions, strict=True)]
    return csv_text(header, rows)
