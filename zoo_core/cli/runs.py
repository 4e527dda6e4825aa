"""`zoo runs`: the runs there are, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo_core.cli.answers import html_option
from zoo_core.cli.output import echo_lines, note, print_json, print_table
from zoo_core.cli.saving import csv_text
from zoo_core.runs.cells import cell, results
from zoo_core.runs.comparison import RunSummary, differences, in_order, is_run, list_runs

MAKE = "Make one: zoo finetune resnet18 --data folder:PICTURES"
KEYS = ("path", "model", "data", "epochs_done", "val_accuracy", "val_loss", "seconds")


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
@html_option
def command(
    folders: tuple[Path, ...], key: str | None, as_csv: bool, as_json: bool, html: Path | None
) -> None:
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
    if html is not None:
        _save_page(html, runs, folders)
    if as_csv:
        _print_csv(runs)
    elif as_json and side_by_side:
        differing = differences([run.recipe for run in runs])
        print_json({"runs": [record(run) for run in runs], "differences": differing})
    elif as_json:
        print_json([record(run) for run in runs])
    elif not runs:
        note(f"{_no_runs(folders)} {MAKE}")
    elif side_by_side:
        _print_side_by_side(runs)
    else:
        _print_list(runs)


def _no_runs(folders: tuple[Path, ...]) -> str:
    return f"No runs in {', '.join(map(str, folders)) or 'runs/'}."


def _save_page(path: Path, runs: list[RunSummary], folders: tuple[Path, ...]) -> None:
    from zoo_core.errors import ZooError
    from zoo_core.pages.sections import save_page
    from zoo_core.runs.page import html

    if not runs:
        raise ZooError(f"{_no_runs(folders)} There is nothing to put on a page.", hint=MAKE)
    note(f"The page is in {save_page(html(runs, path.parent), path)}.")


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


def _print_side_by_side(runs: list[RunSummary]) -> None:
    readable = [run for run in runs if run.recipe]
    names = ["epochs", "best epoch", "val accuracy", "val loss", "time"]
    rows = list(zip(names, *map(results, readable), strict=True))
    differing = differences([run.recipe for run in readable])
    rows += [(name, *map(cell, values)) for name, values in differing.items()]
    if readable:
        header = ["", *(str(run.path) for run in readable)]
        print_table(header, [[cell or "-" for cell in row] for row in rows])
    if len(readable) > 1 and not differing:
        note("Their recipes do not differ.")
    _note_faults(runs)
