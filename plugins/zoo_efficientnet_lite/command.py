"""`zoo demo photos`: transfer learning on real photographs, as a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.output import echo, print_json, print_table

if TYPE_CHECKING:
    from zoo_efficientnet_lite.reading import Row

OUT = "A new folder for table, picture and run; by default runs/photos-1 or the next."


@click.command("photos")
@click.option("--out", type=Path, help=OUT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def photos(out: Path | None, as_json: bool) -> None:
    """Take EfficientNet-Lite0 from ImageNet to photographs of solar cells."""
    from zoo_efficientnet_lite.photos import PLAN, run_demo
    from zoo_lenet.results import next_folder

    outcome = run_demo(out or next_folder("photos"))
    if as_json:
        print_json([row.facts() for row in outcome.rows])
        return
    print_table(*table(outcome.rows))
    echo()
    echo(
        f"Balanced accuracy in % on {PLAN.test} test pictures: the mean share of the functional "
        f"and of the defective cells that is found. ±: standard deviation of {PLAN.draws} draws; "
        "without it, of one draw."
    )
    echo(outcome.sentence)
    echo()
    echo(f"Picture: {outcome.folder / 'accuracy.png'}")
    echo(f"A run:   {outcome.folder / 'run'}")
    echo("Cells:   elpv-dataset, CC BY-NC-SA 4.0, and so those that the run's report.html shows")


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """A row per number of pictures, a column per arm."""
    from zoo_efficientnet_lite.photos import ARMS

    cells = {(row.per_class, row.arm): _cell(row) for row in rows}
    counts = dict.fromkeys(row.per_class for row in rows)
    body = [[str(count), *[cells[count, arm] for arm in ARMS]] for count in counts]
    return ["per class", *ARMS.values()], body


def _cell(row: Row) -> str:
    return f"{row.mean:.1f}" if row.sd is None else f"{row.mean:.1f} ± {row.sd:.1f}"
