"""`zoo inspect`: what is wrong with pictures, before anything is trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.answers import html_option
from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo, note, print_json, print_table
from zoo_core.cli.saving import EarlierFile, check_apart, csv_text, save
from zoo_core.files import name_or_path

if TYPE_CHECKING:
    from zoo_core.advice.inspection import Inspection


@click.command("inspect")
@click.argument("data", metavar="DATA")
@click.option("--model", metavar="NAME", type=MODEL, help="Whose features see the pictures.")
@click.option("--val", metavar="SPEC", help="Validation pictures, to find what is on both sides.")
@json_option
@html_option
@click.option(
    "--csv",
    "table",
    type=EarlierFile(b"part,index,picture,", "findings"),
    metavar="FILE",
    help="Write what to look at to FILE, as CSV.",
)
def command(
    data: str,
    model: str | None,
    val: str | None,
    as_json: bool,
    html: Path | None,
    table: Path | None,
) -> None:
    """Find what is wrong with DATA: labels in doubt, pictures that are there twice, outliers,
    what cannot be read, odd sizes. No file is changed.

    DATA is digits, folder:DIR, csv:FILE, …, as for zoo finetune --data. Without --model, the first
    on this machine of efficientnet_lite0, resnet18 and lenet5 looks.
    """
    from zoo_core.advice.inspect import inspect
    from zoo_core.advice.inspection import COLUMNS

    check_apart(html=html, csv=table)
    found = inspect(data, name_or_path(model) if model else None, val=val)
    if table is not None:
        rows = [[row[column] for column in COLUMNS] for row in found.rows]
        save(table, csv_text(COLUMNS, rows))
        note(f"What to look at is in {table}.")
    if html is not None:
        note(f"The page is in {found.save(html)}.")
    if as_json:
        facts = {name: value for name, value in vars(found).items() if name[0] != "_"}
        print_json(facts | {"counts": found.counts})
        return
    _print(found)


def _print(found: Inspection) -> None:
    from zoo_core.advice.inspection import LISTED

    for sentence in found.sentences():
        echo(sentence)
    if not found.rows:
        return
    echo()
    listed = found.table(LISTED)
    print_table(listed.header, listed.rows, right=listed.right)
    if len(found.rows) > LISTED:
        echo(f"… and {len(found.rows) - LISTED:,} more: --csv FILE has all, --html FILE a page.")
