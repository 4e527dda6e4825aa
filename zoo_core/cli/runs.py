"""`zoo runs`: the runs there are, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo_core.cli.output import echo_lines, note, print_json, print_table
from zoo_core.cli.saving import csv_text
from zoo_core.humanize import duration
from zoo_core.runs.comparison import RunSummary, differences, in_order, is_run, list_runs

KEYS = ("path", "model", "data", "epochs_done", "val_accuracy", "val_loss", "seconds")
MOST = 8  # more values than these in one cell say nothing to anybody


@click.command("runs")
@click.argument("folders", metavar="[FOLDER...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--sort",
    "key",
    type=click.Choice(KEYS),
    help="The best first, or the smallest; by default in the order of the names.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a line of CSV per run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folders: tuple[Path, ...], key: str | None, as_csv: bool, as_json: bool) -> None:
    """Compare runs: list those in FOLDER, by default runs/, with what came out.

    Two or more runs by name are set side by side, with all that differs in their recipes.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    chosen = folders or ((Path("runs"),) if Path("runs").is_dir() else ())
    side_by_side = len(chosen) > 1 and all(is_run(folder) for folder in chosen)
    runs = list_runs(chosen)
    if key is not None:
        runs = in_order(runs, key)
    if as_csv:
        _print_csv(runs)
    elif as_json and side_by_side:
        differing = differences([run.recipe for run in runs])
        print_json({"runs": [record(run) for run in runs], "differences": differing})
    elif as_json:
        print_json([record(run) for run in runs])
    elif not runs:
        searched = ", ".join(map(str, folders)) or "runs/"
        note(f"No runs in {searched}. Make one: zoo finetune resnet18 --data folder:PICTURES")
    elif side_by_side:
        _print_side_by_side(runs)
    else:
        _print_list(runs)


def record(run: RunSummary) -> dict[str, Any]:
    """What machines read about a run."""
    fields = {name: value for name, value in vars(run).items() if name != "recipe"}
    return fields | {"path": str(run.path), "regularizers": list(run.regularizers)}


def _print_csv(runs: list[RunSummary]) -> None:
    rows = [record(run) | {"regularizers": " ".join(run.regularizers)} for run in runs]
    names = list(rows[0]) if rows else list(record(RunSummary(Path())))
    echo_lines(csv_text(names, [row.values() for row in rows]))


def _print_list(runs: list[RunSummary]) -> None:
    readable = [run for run in runs if run.recipe]
    header = ["run", "model", "data", "trains", "epochs", "best", "accuracy", "loss", "time"]
    rows = [[str(run.path), run.model, run.data, run.trains, *results(run)] for run in readable]
    if any(run.regularizers for run in readable):
        header.append("regularizers")
        rows = [[*r, " ".join(run.regularizers)] for r, run in zip(rows, readable, strict=True)]
    if readable:
        cells = [[cell or "-" for cell in row] for row in rows]
        print_table(header, cells, right=("epochs", "best", "accuracy", "loss", "time"))
    _note_faults(runs)


def _note_faults(runs: list[RunSummary]) -> None:
    for run in runs:
        if run.fault:
            note(f"{run.path}: {run.fault}")


def results(run: RunSummary) -> list[str]:
    """Epochs done of those planned; the best one, its accuracy and loss; the time."""
    return [
        f"{run.epochs_done}/{'?' if run.epochs is None else run.epochs}",
        "" if run.best_epoch is None else f"{run.best_epoch}",
        "" if run.val_accuracy is None else f"{run.val_accuracy:.1%}",
        "" if run.val_loss is None else f"{run.val_loss:.4f}",
        duration(run.seconds) if run.seconds else "",
    ]


def _print_side_by_side(runs: list[RunSummary]) -> None:
    readable = [run for run in runs if run.recipe]
    names = ["epochs", "best epoch", "val accuracy", "val loss", "time"]
    rows = list(zip(names, *map(results, readable), strict=True))
    differing = differences([run.recipe for run in readable])
    rows += [(name, *map(_cell, values)) for name, values in differing.items()]
    if readable:
        header = ["", *(str(run.path) for run in readable)]
        print_table(header, [[cell or "-" for cell in row] for row in rows])
    if len(readable) > 1 and not differing:
        note("Their recipes do not differ.")
    _note_faults(runs)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(value) <= MOST else f"{len(value)} values"
    return "" if value is None else str(value)
