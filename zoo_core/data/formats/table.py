"""A CSV file with a picture in each line: its path, its label or labels, and perhaps its part."""

from __future__ import annotations

import csv
import textwrap
from pathlib import Path
from typing import Any

from zoo_core.data.decoding import Files
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, chosen_part
from zoo_core.errors import DataError, did_you_mean
from zoo_core.humanize import natural

Row = dict[str, str]
MORE = "..."  # where the reader puts cells beyond the last column


def open_csv(spec: Spec) -> Pictures:
    """Columns `path` (from the CSV's folder on, or absolute), `label` or `labels`, and `split`.

    `labels` holds several, between `|` or else spaces, or none. `?path=file&label=species` names
    other columns. Every part has the classes of the whole file, in natural order.
    """
    file = spec.path
    header, rows = _read(file)
    path = _column(file, header, spec.options.get("path", "path"), "path")
    label, several = _label_column(spec, file, header)
    cells = [row[label].strip() for row in rows]
    labels: list[Any] = _several(cells) if several else cells
    names = {name for each in (labels if several else [cells]) for name in each}
    classes = sorted(names - {""}, key=natural)
    part = _part(spec, header, rows)
    kept = [i for i, row in enumerate(rows) if part is None or row["split"].strip() == part]
    for i in kept:
        _check_line(file, rows[i], [path] if several else [path, label])
    numbers = numbered([labels[i] for i in kept], classes, str(file))
    return Pictures(
        spec.name,
        Files([file.parent / rows[i][path].strip() for i in kept]),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
    )


def _read(file: Path) -> tuple[list[str], list[Row]]:
    """The header and all lines; a cell that is missing is empty."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, restval="", restkey=MORE)
            rows = [row for row in reader if any(row.values())]
    except FileNotFoundError as error:
        raise DataError(f"No file at {file}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: {error}.", hint="Save it as UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    if not rows:
        hint = "The first line names the columns: path,label"
        raise DataError(f"{file} has no line with a picture.", hint=hint)
    for row in rows:
        if row.pop(MORE, None):
            line = _shown(", ".join(row.values()))
            hint = 'A name with a comma in it stands in quotes: "a, b.jpg",cat'
            raise DataError(f"{file} has a line with more cells than columns: {line}.", hint=hint)
    return list(reader.fieldnames or ()), rows


def _column(file: Path, header: list[str], name: str, meaning: str) -> str:
    if name not in header:
        known = did_you_mean(name, header)
        raise DataError(
            f'{file} has no column "{name}". It has: {", ".join(header)}. {known}'.strip(),
            hint=f"Name another one: csv:{file.name}?{meaning}=COLUMN",
        )
    return name


def _label_column(spec: Spec, file: Path, header: list[str]) -> tuple[str, bool]:
    """The column of labels, and whether it holds several."""
    if "labels" in spec.options or ("label" not in spec.options and "label" not in header):
        if "labels" in header or "labels" in spec.options:
            return _column(file, header, spec.options.get("labels", "labels"), "labels"), True
    return _column(file, header, spec.options.get("label", "label"), "label"), False


def _several(cells: list[str]) -> list[list[str]]:
    """The labels of each cell: between `|` where any cell has one, else between spaces."""
    mark = "|" if any("|" in cell for cell in cells) else None
    return [[name.strip() for name in cell.split(mark) if name.strip()] for cell in cells]


def _part(spec: Spec, header: list[str], rows: list[Row]) -> str | None:
    names = {row["split"].strip() for row in rows} if "split" in header else ()
    parts = sorted(names, key=natural)
    return chosen_part(spec, parts) if parts or spec.part else None


def _check_line(file: Path, row: Row, columns: list[str]) -> None:
    for column in columns:
        if not row[column].strip():
            line = _shown(",".join(row.values()))
            raise DataError(f"{file} has no {column} in this line: {line}")


def _shown(line: str) -> str:
    """A line for a message: an open quote makes one of the rest of the table."""
    return textwrap.shorten(line, 80, placeholder=" …")
