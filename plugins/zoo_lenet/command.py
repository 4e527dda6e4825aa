"""`zoo demo`: the transfer learning experiment on digits, as a command."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.output import echo, print_json, print_table


@click.command("demo")
@click.option(
    "--out",
    type=Path,
    help="A new folder for table, picture and run; by default runs/demo-1 or the next.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def demo(out: Path | None, as_json: bool) -> None:
    """Fine-tune LeNet-5 from MNIST to other digits, 72 times: what to keep, and what to train."""
    from zoo_lenet.demo import run_demo

    outcome = run_demo(out or _next_folder())
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


def _next_folder() -> Path:
    paths = (Path("runs") / f"demo-{n}" for n in itertools.count(1))
    return next(path for path in paths if not path.exists())
