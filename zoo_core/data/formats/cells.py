"""The lines of a CSV file as they stand there: its header, its cells, and where each line is."""

from __future__ import annotations

import csv
import io
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from zoo_core import files
from zoo_core.data.endings import is_picture
from zoo_core.data.specs import Spec
from zoo_core.errors import DataError, did_you_mean
from zoo_core.humanize import byte_size, readable_name

LARGEST = 2**30  # bytes; a table of ten million pictures has as many
LAYOUT = ("separator", "header")
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", ",": ",", ";": ";", "|": "|"}
NAMED = ", ".join(name for name in SEPARATORS if len(name) > 1)


@dataclass(frozen=True)
class Line:
    """A line with a picture. `number`: where it is in the file, from 1; `cells` are stripped."""

    number: int
    cells: list[str]

    @property
    def shown(self) -> str:
        """For a message: an open quote makes one line of the rest of the table."""
        return textwrap.shorten(",".join(self.cells), 80, placeholder=" …")


@dataclass(frozen=True)
class Table:
    """`header`: the names of the columns, None where the file has none. `advice`: what may help."""

    file: Path
    header: list[str] | None
    lines: list[Line]
    advice: str = ""

    @property
    def columns(self) -> str:
        return ", ".join(self.header or ())

    @property
    def width(self) -> int:
        return max(len(line.cells) for line in self.lines)


def read_table(spec: Spec) -> Table:
    """The file of a spec; a cell that is missing is empty. Raises DataError."""
    file, separator = spec.path, _separator(spec)
    lines = _lines(file, separator)
    header = lines.pop(0).cells if _has_header(spec) and lines else None
    if not lines:
        hint = "The first line names the columns: path,label"
        raise DataError(f"{readable_name(file)} has no line with a picture.", hint=hint)
    width = len(header) if header is not None else max(len(line.cells) for line in lines)
    for line in lines:
        if any(line.cells[width:]):
            hint = 'A name with a comma in it stands in quotes: "a, b.jpg",cat'
            fault = f"{file} has a line with more cells than columns"
            raise DataError(f"{fault}: {line.shown} (line {line.number}).", hint=hint)
        line.cells[:] = (line.cells + [""] * width)[:width]
    return Table(file, header, lines, _advice(spec, header, separator))


def _lines(file: Path, separator: str) -> list[Line]:
    """All lines that hold something."""
    lines, begin = [], 1
    try:
        with files.opened(file) as opened:
            if os.fstat(opened.fileno()).st_size > LARGEST:
                raise DataError(f"{readable_name(file)} is larger than {byte_size(LARGEST)}.")
            text = io.TextIOWrapper(opened, newline="", encoding="utf-8-sig")
            reader = csv.reader(text, delimiter=separator)
            for cells in reader:
                if any(cells):
                    lines.append(Line(begin, [cell.strip() for cell in cells]))
                begin = reader.line_num + 1
    except FileNotFoundError as error:
        raise DataError(f"No file at {readable_name(file)}.") from error
    except files.NoRegularFile as error:
        raise DataError(f"{readable_name(file)} cannot be read: it {error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: {error}.", hint="Save it as UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    return lines


def _separator(spec: Spec) -> str:
    name = spec.options.get("separator", "comma")
    if name not in SEPARATORS:
        known = did_you_mean(name, SEPARATORS)
        raise DataError(f'No separator "{name}". {known}'.strip(), hint=f"It is {NAMED}.")
    return SEPARATORS[name]


def _has_header(spec: Spec) -> bool:
    said = spec.options.get("header", "yes")
    if said not in ("yes", "no"):
        raise DataError(f'header in "{spec.text}" is "yes" or "no", not "{said}".')
    return said == "yes"


def _advice(spec: Spec, header: list[str] | None, separator: str) -> str:
    """What helps where the first line names no column that is looked for."""
    if header is None:
        return ""
    start = f"csv:{spec.path.name}"
    for name in ("semicolon", "tab", "bar", "comma"):
        mark = SEPARATORS[name]
        if mark != separator and any(mark in cell for cell in header):
            return f"Is another mark between the cells? {start}?separator={name}"
    if any(is_picture(Path(cell)) for cell in header):
        return f"Has it no line with the names of its columns? {start}?header=no"
    return ""
