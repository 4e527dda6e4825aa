"""`zoo browse`: all models on one page."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.browsing.browse import OUT, browse
from zoo_core.cli.output import echo
from zoo_core.cli.saving import OutFile
from zoo_core.humanize import byte_size


@click.command("browse")
@click.argument("pattern", required=False)
@click.option(
    "--out",
    type=OutFile(),
    default=OUT,
    show_default=True,
    metavar="FILE",
    help="The page to write.",
)
def command(pattern: str | None, out: Path) -> None:
    """Write one HTML page of all models, to filter, sort and copy commands from.

    Official models, those of plugins and timm's, each trained set a row; PATTERN, as of zoo list,
    keeps some. The page needs no network, and opens from the file.
    """
    page = browse(out, pattern)
    echo(f"{page} ({byte_size(page.stat().st_size)}): open it in a browser.")
