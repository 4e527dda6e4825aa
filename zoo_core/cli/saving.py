"""Results as CSV or JSON, on stdout or as a file that is whole or not there."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from zoo_core.humanize import readable_json, readable_name


class OutFile(click.ParamType):
    """A file that can be written: said before the work begins, not after it."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value).expanduser()
        if path.is_dir():
            self.fail(f"{path} is a folder.", param, ctx)
        if path.exists() and not path.is_file():  # it would be replaced by a file
            self.fail(f"{path} is a device or a pipe, no file.", param, ctx)
        if "://" in str(value):
            self.fail("a file on this machine is wanted, not an address.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent} to write into.", param, ctx)
        return path


class EarlierFile(OutFile):
    """A file to write that is new or empty, or begins as the earlier one of its kind.

    `begins`: a regular expression. `what`: such a file holds.
    """

    def __init__(self, begins: bytes, what: str) -> None:
        self.begins, self.what = begins, what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = super().convert(value, param, ctx)
        try:
            with path.open("rb") as file:
                start = file.read(200)
        except FileNotFoundError:
            return path
        except OSError as error:
            self.fail(f"{path} cannot be written: {error.strerror}.", param, ctx)
        if start.strip() and not re.match(self.begins, start):
            self.fail(f"{path} is there, and holds no {self.what}.", param, ctx)
        return path


def check_apart(**files: Path | None) -> None:
    """Raise UsageError where two options, by their names, are to write one file."""
    places: dict[Path, str] = {}
    for option, file in files.items():
        other = places.setdefault(file.resolve(), option) if file is not None else option
        if other != option:
            raise click.UsageError(f"--{other} and --{option} are one file, {file}.")


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    r"""Rows as CSV, with a header, a line each: control characters are shown, as in every table.

    >>> csv_text(("picture", "label"), [("a.png", "tench, Tinca tinca")])
    'picture,label\na.png,"tench, Tinca tinca"\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([cell if isinstance(cell, int | float) else _text(cell) for cell in row])
    return text.getvalue()


def _text(cell: Any) -> str:
    return "" if cell is None else readable_name(cell)


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    return f"{readable_json(value, ascii_only=ascii_only)}\n"


def save(path: Path, text: str) -> None:
    """Write text to a file, whole; one that is there is replaced. Raises ZooError."""
    from zoo_core.errors import ZooError
    from zoo_core.files import written

    try:
        with written(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ZooError(f"{path} cannot be written: {error.strerror}.") from error
