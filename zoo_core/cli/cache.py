"""`zoo cache`: list or clear the activations that are kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, note, print_json, print_table

if TYPE_CHECKING:
    from zoo_core.training.cache.disk import Cleared

HEAD = ("model", "enters", "rows", "size", "last used")


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all activations.")
@json_option
def command(clear: bool, as_json: bool) -> None:
    """List the activations that frozen layers gave, kept for the next training; or remove them.

    They take no more than ZOO_CACHE_LIMIT (20GB): what was not used for longest goes first.
    """
    from zoo_core.humanize import byte_size, readable_name
    from zoo_core.training.cache import disk

    if clear:
        done = disk.clear()
        if as_json:
            print_json({"freed": done.freed})
        else:
            echo(f"Freed {byte_size(done.freed)}.")
        _say_what_stays(done, disk.place())
        return
    kept = disk.entries()
    if as_json:
        listed = [
            {**e.facts, "key": e.key, "bytes": e.bytes, "used": e.used, "rows": e.count()}
            for e in kept
        ]
        place, limit = str(disk.place()), disk.limit()
        print_json({"place": place, "limit": limit, "entries": listed})
        return
    rows = [
        (
            readable_name(entry.facts.get("model", "?")),
            readable_name(entry.facts.get("boundary", "?")),
            f"{entry.count():,}",
            byte_size(entry.bytes),
            datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M"),
        )
        for entry in kept
    ]
    if rows:
        print_table(HEAD, rows, right=("rows", "size"))
    total = sum(entry.bytes for entry in kept)
    folder = disk.place()
    echo(f"{byte_size(total)} of {byte_size(disk.limit())} in {folder}")


def _say_what_stays(done: Cleared, place: Path) -> None:
    """What clearing left, and why. Raises ZooError for an entry that cannot be removed."""
    from zoo_core.errors import ZooError
    from zoo_core.humanize import readable_name, some

    if done.foreign:
        names = some([readable_name(name) for name in done.foreign])
        note(f"Left in {place}, as zoo did not write it for this user: {names}")
    for name, reason in done.failed.items():
        raise ZooError(f"{place / readable_name(name)} cannot be removed: {reason}.")
