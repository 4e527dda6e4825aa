"""`zoo cache`: list or clear the activations that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, print_json, print_table

HEAD = ("model", "enters", "pictures", "views", "size", "last used", "data")


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all activations.")
@json_option
def command(clear: bool, as_json: bool) -> None:
    """List the activations that frozen layers gave, kept for the next training; or remove them.

    They take no more than ZOO_CACHE_LIMIT (20GB): what was not used for longest goes first.
    """
    from zoo_core.humanize import byte_size
    from zoo_core.training.cache import disk

    if clear:
        freed = disk.clear()
        if as_json:
            print_json({"freed": freed})
        else:
            echo(f"Freed {byte_size(freed)}.")
        return
    kept = disk.entries()
    if as_json:
        listed = [{"key": e.key, "bytes": e.bytes, "used": e.used, **e.facts} for e in kept]
        place, limit = str(disk.place()), disk.limit()
        print_json({"place": place, "limit": limit, "entries": listed})
        return
    rows = [
        (
            str(entry.facts.get("model", "?")),
            str(entry.facts.get("boundary", "?")),
            f"{entry.facts.get('count', 0):,}",
            _views(entry.facts),
            byte_size(entry.bytes),
            datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M"),
            str(entry.facts.get("name", "?")),
        )
        for entry in kept
    ]
    if rows:
        print_table(HEAD, rows, right=("pictures", "views", "size"))
    total = sum(entry.bytes for entry in kept)
    folder = disk.place()
    echo(f"{byte_size(total)} of {byte_size(disk.limit())} in {folder}")


def _views(facts: Mapping[str, Any]) -> str:
    """How many views there are of each picture."""
    views = facts.get("views", 1)
    return str(views[0] if isinstance(views, list) else views)
