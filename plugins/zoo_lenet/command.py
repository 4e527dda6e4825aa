"""zoo demo"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.output import print_json, print_table


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

    found = run_demo(out or _next_folder())
    if as_json:
        print_json(found.rows)
        return
    print_table(*_table(found.rows))
    click.echo(
        f"\nRight of 797 test pictures in %, mean ± standard deviation of 3 seeds.\n{found.sentence}\n"
    )
    click.echo(f"Picture: {found.folder / 'accuracy.png'}")
    click.echo(f"A run:   {found.folder / 'run'}")


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A row per number of pictures, a column per arm."""
    by_count = [
        list(group) for _, group in itertools.groupby(rows, key=lambda row: row["per_class"])
    ]
    header = ["per class", *[row["arm"] for row in by_count[0]]]
    body = [
        [str(own[0]["per_class"]), *[f"{r['mean']:.1f} ± {r['sd']:.1f}" for r in own]]
        for own in by_count
    ]
    return header, body


def _next_folder() -> Path:
    return next(
        path for n in itertools.count(1) if not (path := Path("runs") / f"demo-{n}").exists()
    )
