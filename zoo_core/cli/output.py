"""What commands share: tables and JSON.

Plain aligned lines where stdout is no terminal; nothing is ever cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.streams import takes_any_text
from zoo_core.progress import put_line

if TYPE_CHECKING:
    from zoo_core.plugins.catalogue import Catalogue

LAST_COLUMN = 30  # what the last column gets at least, where it needs as much


def known() -> Catalogue:
    """The catalogue, imported when it is asked for."""
    from zoo_core.plugins.catalogue import catalogue

    return catalogue()


def print_json(value: Any) -> None:
    """JSON and nothing else, on stdout. Records and mappings become objects."""
    import json

    ascii_only = not takes_any_text()
    click.echo(json.dumps(value, indent=2, ensure_ascii=ascii_only, default=_plain))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> None:
    """A table of text; the columns named in `right` are aligned to the right."""
    listed = [[str(cell) for cell in row] for row in rows]
    at_right = set(right)
    if sys.stdout.isatty():
        _print_rich(header, listed, at_right)
    else:
        for line in aligned([list(header), *listed], [name in at_right for name in header]):
            click.echo(line)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with columns two spaces apart.

    >>> aligned([["name", "params"], ["lenet5", "61,706"]], [False, True])
    ['name    params', 'lenet5  61,706']
    """
    wide = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, wide, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def count(number: float | None) -> str:
    """A number with commas, or a dash where it is not known."""
    return "-" if number is None else f"{number:,}"


def gmacs(number: float | None) -> str:
    """Billions of multiply-adds: two decimals, or two digits where those would be none.

    >>> gmacs(4.09), gmacs(1.5), gmacs(0.00042)
    ('4.09', '1.50', '0.00042')
    """
    if number is None:
        return "-"
    return f"{number:.2f}" if number >= 0.1 else f"{number:.2g}"


def size(shape: Sequence[int]) -> str:
    """A shape as `3x224x224`."""
    return "x".join(str(n) for n in shape)


def note(text: str) -> None:
    """A remark on stderr, where it is in nobody's way."""
    put_line(text)


def note_broken() -> None:
    """Say that a plugin is broken, where one is."""
    broken = known().plugins.broken
    if broken:
        names = ", ".join(plugin.title() for plugin in broken)
        plural = "s" if len(broken) > 1 else ""
        note(f'Broken plugin{plural}: {names}. Run "zoo plugins" to see what is wrong.')


def _print_rich(header: Sequence[str], rows: list[list[str]], right: set[str]) -> None:
    """For a terminal: where it is narrow, the last column folds; a name is never broken in two."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    last = len(header) - 1
    for number, name in enumerate(header):
        table.add_column(
            name,
            style="" if number else "cyan",
            justify="right" if name in right else "left",
            no_wrap=number < last,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    wide = [max(len(cell) for cell in column) + 2 for column in zip(header, *rows, strict=True)]
    least = sum(wide[:last]) + min(wide[last], LAST_COLUMN)
    console = Console()
    if least > console.width:  # the terminal itself wraps what it has no room for
        console = Console(width=least)
    console.print(table)


def _plain(value: Any) -> Any:
    from collections.abc import Mapping
    from dataclasses import fields, is_dataclass

    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
