"""A CSV file with a picture in each line: its path, its label or labels, and perhaps its part."""

from __future__ import annotations

from typing import Any

from zoo_core.data.decoding import Files
from zoo_core.data.formats.cells import Line, Table, read_table
from zoo_core.data.formats.numbering import composed, numbered
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, bits_of, chosen_part
from zoo_core.errors import DataError, did_you_mean
from zoo_core.humanize import natural

COLUMNS = ("path", "label", "labels")


def open_csv(spec: Spec) -> Pictures:
    """Columns `path` (from the CSV's folder on, or absolute), `label` or `labels`, and `split`.

    `labels` holds several, between `|`, or else `,` or `;`, or else spaces, or none.
    `?path=file&label=species` names other columns, by numbers with `header=no`, and
    `separator=semicolon` what stands between cells. Every part has the classes of the whole file,
    in natural order.
    """
    table = read_table(spec)
    path = _column(spec, table, "path")
    label, several = _label_column(spec, table)
    labels, notes = _labels(spec, table, label, several)
    classes = sorted({name for each in _lists(labels) for name in each if name}, key=natural)
    kept = _kept(spec, table)
    for line, _ in kept:
        _check_line(table, line, [path] if isinstance(labels[0], list) else [path, label])
    numbers = numbered([labels[i] for _, i in kept], classes, str(table.file))
    return Pictures(
        spec.name,
        Files([table.file.parent / line.cells[path] for line, _ in kept], bits_of(spec)),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
        notes=notes,
    )


def _lists(labels: list[Any]) -> list[list[str]]:
    return [each if isinstance(each, list) else [each] for each in labels]


# --- columns -------------------------------------------------------------------------------------


def _column(spec: Spec, table: Table, meaning: str) -> int:
    """The place of a column, by its name or, without a header, by its number."""
    asked = spec.options.get(meaning)
    if table.header is None:
        return _numbered_column(spec, table, meaning, asked)
    name = asked or meaning
    places = [i for i, other in enumerate(table.header) if other == name]
    if len(places) > 1:
        raise DataError(
            f'{table.file} has {len(places)} columns called "{name}".',
            hint="Rename one in the first line.",
        )
    if not places:
        known = did_you_mean(name, table.header)
        raise DataError(
            f'{table.file} has no column "{name}". It has: {table.columns}. {known}'.strip(),
            hint=table.advice or f"Name another one: csv:{table.file.name}?{meaning}=COLUMN",
        )
    return places[0]


def _numbered_column(spec: Spec, table: Table, meaning: str, asked: str | None) -> int:
    number = asked or {"path": "1", "label": "2", "labels": "2"}[meaning]
    if not number.isdecimal() or not 1 <= int(number) <= table.width:
        raise DataError(
            f'{table.file} has no header, and {meaning}="{number}" is no number of its '
            f"{table.width} columns.",
            hint="header=no&path=1&label=2",
        )
    return int(number) - 1


def _label_column(spec: Spec, table: Table) -> tuple[int, bool]:
    """The column of labels, and whether it is called one that holds several."""
    names = table.header or ()
    asked = [option for option in ("label", "labels") if option in spec.options]
    there = asked or [name for name in ("label", "labels") if name in names]
    if len(there) > 1:
        raise DataError(
            f'{table.file} has a column "label" and a column "labels".'
            if not asked
            else f'"{spec.text}" names a column of single labels and one of several.',
            hint=f"Name one: csv:{table.file.name}?label=COLUMN, or ?labels=COLUMN for several.",
        )
    option = there[0] if there else "label"
    return _column(spec, table, option), option == "labels"


# --- labels --------------------------------------------------------------------------------------


def _labels(spec: Spec, table: Table, column: int, several: bool) -> tuple[list[Any], list[str]]:
    """The label or the labels of each line, and what to say of how they were read."""
    cells = [composed(line.cells[column]) for line in table.lines]
    if not several:
        return list(cells), []
    _refuse_lists(table, column)
    mark = _mark(table, column)
    spaced = next((cell for cell in cells if " " in cell), None) if mark is None else None
    single = mark is None and "labels" not in spec.options and all(cells)
    if single and spaced is not None:
        raise DataError(
            f'"{spaced}" in the column "labels" of {table.file} may be one label or several.',
            hint=f"csv:{table.file.name}?label=labels for one, ?labels=labels for several; or "
            'write "|" between them.',
        )
    if single:
        note = f'The column "labels" of {table.file} holds one name in each line, and is read as '
        return list(cells), [f'{note}"label". For several classes at once: ?labels=labels.']
    notes = []
    if spaced is not None:
        note = f'Labels in {table.file} are taken apart at spaces: "{spaced}" is {spaced.split()}.'
        notes = [f'{note} Where it is one, write "|" between labels.']
    split = [[name.strip() for name in cell.split(mark) if name.strip()] for cell in cells]
    return split, notes


def _mark(table: Table, column: int) -> str | None:
    """What stands between labels: `|` where any cell has one, else `,` or `;`, else spaces."""
    found = {
        mark: line for line in reversed(table.lines) for mark in "|,;" if mark in line.cells[column]
    }
    if "|" in found:
        return "|"
    if len(found) > 1:
        places = " and ".join(f'"{mark}" in line {line.number}' for mark, line in found.items())
        raise DataError(
            f"{table.file} has {places} between labels.", hint='Write "|" between all of them.'
        )
    return next(iter(found), None)


def _refuse_lists(table: Table, column: int) -> None:
    for line in table.lines:
        cell = line.cells[column]
        if cell[:1] + cell[-1:] in ("[]", "()", "{}"):
            raise DataError(
                f"{table.file}, line {line.number}: {cell} is a list of a program.",
                hint='Write "|" between labels: cat|pet.',
            )


# --- lines ---------------------------------------------------------------------------------------


def _kept(spec: Spec, table: Table) -> list[tuple[Line, int]]:
    """The lines of the part that is asked for, with their places."""
    lines = [(line, i) for i, line in enumerate(table.lines)]
    if table.header is None or "split" not in table.header:
        if spec.part:
            chosen_part(spec, ())
        return lines
    column = _column(spec, table, "split")
    parts = sorted({line.cells[column] for line in table.lines} - {""}, key=natural)
    empty = [line for line in table.lines if not line.cells[column]]
    if parts and empty:
        raise DataError(
            f'{table.file} has no "split" in {len(empty)} of {len(table.lines)} lines; the first '
            f"is line {empty[0].number}: {empty[0].shown}",
            hint='Write the part there; what is to be left out may be called "unused".',
        )
    if not parts and not spec.part:
        return lines
    part = chosen_part(spec, parts)
    return [(line, i) for line, i in lines if line.cells[column] == part]


def _check_line(table: Table, line: Line, columns: list[int]) -> None:
    for column, meaning in zip(columns, ("path", "label"), strict=False):
        if not line.cells[column]:
            name = table.header[column] if table.header else meaning
            place = f"in this line: {line.shown} (line {line.number})"
            raise DataError(f"{table.file} has no {name} {place}")
