"""`zoo demo`: transfer learning on digits, as a command, with others on other pictures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.output import echo, print_json, print_table
from zoo_efficientnet_lite.command import photos


@click.group("demo", invoke_without_command=True)
@click.option(
    "--out",
    type=Path,
    help="A new folder for table, picture and run; by default runs/demo-1 or the next.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def demo(context: click.Context, out: Path | None, as_json: bool) -> None:
    """Fine-tune LeNet-5 from MNIST to other digits, 72 times: what to keep, and what to train."""
    if context.invoked_subcommand:
        if out or as_json:
            other = context.invoked_subcommand
            raise click.UsageError(f"Options of it stand behind it: zoo demo {other} --out FOLDER.")
        return
    from zoo_lenet.demo import run_demo
    from zoo_lenet.results import next_folder

    outcome = run_demo(out or next_folder("demo"))
    if as_json:
        print_json(outcome.rows)
        return
    print_table(*_table(outcome.rows))
    echo()
    echo("Right of 797 test pictures in %, mean ± standard deviation of 3 seeds.")
    echo(outcome.sentence)
    echo()
    echo(f"Picture: {outcome.folder / 'accuracy.png'}")
    echo(f"A run:   {outcome.folder / 'run'}")


demo.add_command(photos)


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A row per number of pictures, a column per arm."""
    groups = itertools.groupby(rows, key=lambda row: row["per_class"])
    by_count = {count: list(group) for count, group in groups}
    header = ["per class", *dict.fromkeys(row["arm"] for row in rows)]
    body = [
        [str(count), *[f"{row['mean']:.1f} ± {row['sd']:.1f}" for row in own]]
        for count, own in by_count.items()
    ]
    return header, body
