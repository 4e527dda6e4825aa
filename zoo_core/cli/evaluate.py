"""`zoo evaluate`: measure a model on pictures with known classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import echo, note, print_json, print_table
from zoo_core.cli.saving import OutFile, csv_text, save
from zoo_core.cli.weights import chosen_model, weights_options

if TYPE_CHECKING:
    from zoo_core.inference.metrics import ClassMetrics, Metrics

FIGURES = ("count", "accuracy", "precision", "f1")


@click.command("evaluate")
@model_argument()
@weights_options
@click.option(
    "--data",
    metavar="SPEC",
    help="digits#test, folder:DIR, csv:FILE, …; without it, the pictures that a run held out.",
)
@click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--csv", "table", type=OutFile(), metavar="FILE", help="Write the table to FILE, as CSV."
)
@json_option
def command(
    model: str,
    weights: str | None,
    labels: str | None,
    config: dict[str, Any],
    data: str | None,
    skip_unreadable: bool,
    batch_size: int,
    table: Path | None,
    as_json: bool,
) -> None:
    """Measure MODEL, a name (its default weights) or a run's folder, on data.

    Without --data, a run is measured on the pictures that it held out of its training.
    Accuracy of a class: the share of its pictures that is found. Precision: the share that is right
    of what is called so. ECE: how far confidence is from accuracy, on average.
    """
    from zoo_core.inference.evaluate import evaluate

    if data is None and (weights or labels or config):
        raise click.UsageError("--weights, --labels and --config go with --data SPEC.")
    unreadable = "skip" if skip_unreadable else "stop"
    chosen = chosen_model(model, weights, labels, config)
    figures = evaluate(chosen, data, batch_size=batch_size, unreadable=unreadable)
    if table is not None:
        rows = [(label, *row.values()) for label, row in figures["table"].items()]
        save(table, csv_text(("class", *FIGURES), rows))
        note(f"The table is in {table}.")
    if as_json:
        print_json(figures)
        return
    print_table((*FIGURES, "class"), map(_row, figures["table"].items()), right=FIGURES)
    echo(_summary(figures))


def _row(item: tuple[str, ClassMetrics]) -> tuple[str, ...]:
    """The class comes last: where names are long, a narrow terminal folds them."""
    label, row = item
    shares = (row["accuracy"], row["precision"], row["f1"])
    return f"{row['count']:,}", *(f"{share:.1%}" for share in shares), label


def _summary(figures: Metrics) -> str:
    several = "map" in figures or "ece" not in figures
    what = "answers for " if several else ""
    parts = [f"{figures['accuracy']:.2%} of {what}{figures['count']} right"]
    parts.append(f"log-loss {figures['loss']:.4f}")
    if "top5" in figures:
        parts.append(f"top-5 {figures['top5']:.2%}")
    if "ece" in figures:
        parts.append(f"ECE {figures['ece']:.2%}")
    if "map" in figures:
        parts.append(f"mean average precision {figures['map']:.2%}")
    if figures.get("trained_on"):
        parts.append(f"{figures['trained_on']} trained on")
    return ", ".join(parts)
