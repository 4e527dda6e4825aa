"""What commands share: lines, tables and JSON, the only ways by which one prints.

Whatever stands in them is somebody's data: control characters are shown, and a line stays one.
Plain aligned lines where stdout is no terminal; nothing is ever cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.streams import takes_any_text
from zoo_core.humanize import aligned, readable_json, readable_name, readable_text
from zoo_core.terminal.lines import say

if TYPE_CHECKING:
    from zoo_core.plugins.catalogue import Catalogue

NOTICED = 1.0  # seconds that somebody waits for one plugin
LAST_COLUMN = 30  # what the last column gets at least, where it needs as much


def known() -> Catalogue:
    """The catalogue, imported when it is asked for."""
    from zoo_core.plugins.catalogue import catalogue

    return catalogue()


def echo(text: object = "", *, nl: bool = True, err: bool = False) -> None:
    """One line, on stdout."""
    click.echo(readable_name(text), nl=nl, err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Text that has lines of its own, such as a card, a manifest or a traceback."""
    click.echo(readable_text(text.rstrip("\n")), err=err)


def print_json(value: Any) -> None:
    """JSON and nothing else, on stdout. Records and mappings become objects."""
    click.echo(readable_json(value, ascii_only=not takes_any_text(), default=_plain))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> None:
    """A table of text; the columns named in `right` are aligned to the right."""
    listed = [[readable_name(cell) for cell in row] for row in rows]
    header, right = [*map(readable_name, header)], [*map(readable_name, right)]
    at_right = set(right)
    if sys.stdout.isatty():
        _print_rich(header, listed, at_right)
    else:
        for line in aligned([list(header), *listed], [name in at_right for name in header]):
            echo(line)


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


def percent(number: float | None) -> str:
    """A share in percent, or a dash where it is not known.

    >>> percent(80.382), percent(None)
    ('80.38', '-')
    """
    return "-" if number is None else f"{number:.2f}"


def size(shape: Sequence[int]) -> str:
    """A shape as `3x224x224`."""
    return "x".join(str(n) for n in shape)


def note(text: str) -> None:
    """A remark on stderr, where it is in nobody's way."""
    say(text)


def note_broken() -> None:
    """Say that a plugin is broken, where one is."""
    broken = known().plugins.broken
    if broken:
        names = ", ".join(plugin.title() for plugin in broken)
        plural = "s" if len(broken) > 1 else ""
        note(f'Broken plugin{plural}: {names}. Run "zoo plugins" to see what is wrong.')


def note_slow() -> None:
    """Say for which plugins whoever asked has waited, where it was long enough to notice."""
    for plugin in known().plugins.all:
        if plugin.waited > NOTICED and plugin.slow:
            where = f'"zoo plugins check {plugin.name}" says where'
            note(
                f"Waited {plugin.waited:.1f} s for {plugin.title()}, which {plugin.slow}: {where}."
            )


def _print_rich(header: Sequence[str], rows: list[list[str]], right: set[str]) -> None:
    """For a terminal: where it is narrow, the last column folds; a name is never broken in two."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    last = len(header) - 1
    for number, name in enumerate(header):
        table.add_column(
            Text(name),
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
