"""A data set of the Hub as a stream: row groups of its Parquet files, each fetched when it is used.

The ends of all files are read first. They say how many rows there are and where, so the length is
known, and going on in the middle of an epoch fetches nothing of what was before. Nothing is stored.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoo_core.data.decoding import decoded
from zoo_core.data.formats.hfds import columns, names_of
from zoo_core.data.formats.hub_place import Place
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.row_groups import RowGroups
from zoo_core.data.specs import Spec, bits_of, chosen_part
from zoo_core.data.streamed import DOWNLOAD, Streamed
from zoo_core.errors import DataError, described
from zoo_core.humanize import byte_size, readable_name

AT_ONCE = 16  # files whose ends are fetched at the same time
LARGEST = 2**30  # bytes of a row group, unpacked: some of them are in memory at once


def open_stream(spec: Spec, place: Place, builder: Any, hint: str) -> Streamed:
    """What `builder` would prepare, as a stream; `hint`: how a column is named.

    Raises DataError where that cannot be.
    """
    kind = type(builder).__module__.rpartition(".")[2]
    parts = {str(name): list(paths) for name, paths in builder.config.data_files.items()}
    paths = parts[chosen_part(spec, parts)]
    if kind != "parquet":
        what = (
            f"{place.name} is not in Parquet files but of the kind {kind}, and cannot be streamed."
        )
        raise DataError(what, hint=DOWNLOAD)
    files = [path.removeprefix("hf://") for path in paths]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        footers = list(pool.map(_footer, files))
    features = builder.info.features or _features(footers[0])
    image, label = columns(features, spec.name, hint, spec.options)
    classes = names_of(features[label])
    if not classes or hasattr(features[label], "feature"):
        raise DataError(
            f'The column "{label}" of {spec.name} has no names for its classes, one a picture, so '
            "a stream does not tell how many there are.",
            hint=DOWNLOAD,
        )
    groups = _groups(files, footers, spec)
    rows = RowGroups([group.rows for group in groups], partial(_read, groups, (image, label)))
    pair = partial(_pair, spec.text, (image, label), tuple(classes), bits_of(spec))
    return Streamed(spec.name, rows, pair, classes)


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """A row group: the `number`th of a file, which has this `footer`."""

    file: str
    footer: Any
    number: int

    @property
    def rows(self) -> int:
        return int(self.footer.row_group(self.number).num_rows)

    @property
    def name(self) -> str:
        return f"Row group {self.number} of {readable_name(self.file)}"


def _filesystem() -> Any:
    """That of this process: the package keeps one for each."""
    from huggingface_hub import HfFileSystem

    return HfFileSystem()


def _footer(file: str) -> Any:
    """What the end of a file says of it."""
    from pyarrow import parquet

    try:
        with _filesystem().open(file, block_size=2**17, cache_type="readahead") as opened:
            return parquet.read_metadata(opened)
    except _damages() as error:
        raise DataError(f"{readable_name(file)} is damaged: {described(error)}.") from error


def _damages() -> tuple[type[Exception], ...]:
    import pyarrow

    return (pyarrow.ArrowException,)


def _features(footer: Any) -> Any:
    """The columns as the file itself describes them."""
    from datasets import Features

    return Features.from_arrow_schema(footer.schema.to_arrow_schema())


def _groups(files: list[str], footers: list[Any], spec: Spec) -> list[Group]:
    pairs = zip(files, footers, strict=True)
    every = [Group(file, footer, n) for file, footer in pairs for n in range(footer.num_row_groups)]
    groups = [group for group in every if group.rows]
    if not groups:
        raise DataError(f"{spec.text} has no rows.")
    size, largest = max(
        ((g.footer.row_group(g.number).total_byte_size, g) for g in groups),
        key=lambda each: each[0],
    )
    if size > LARGEST:
        raise DataError(
            f"{largest.name} has {byte_size(size)}, too much for a stream, which holds several.",
            hint=f"Write the data in smaller row groups, of 100 pictures say. {DOWNLOAD}",
        )
    return groups


# --- rows ----------------------------------------------------------------------------------------


def _read(groups: list[Group], wanted: tuple[str, str], index: int) -> Any:
    """The two columns of a row group, fetched in one request."""
    from pyarrow import parquet

    from zoo_core.hub.failures import explained

    group = groups[index]
    repository = "/".join(group.file.split("@")[0].split("/")[:3])
    facts = group.footer.row_group(group.number)
    chunks = [facts.column(i) for i in range(facts.num_columns)]
    chunks = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted]
    start = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
    end = max(
        (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size
        for chunk in chunks
    )
    with explained(repository, group.file.rpartition("/")[2], DataError):
        content = _filesystem().cat_file(group.file, start=start, end=end)
    try:
        opened = parquet.ParquetFile(Window(content, start), metadata=group.footer)
        table = opened.read_row_group(group.number, columns=list(wanted), use_threads=False)
        table.validate(full=True)
        if table.num_rows != group.rows:
            raise ValueError(f"{table.num_rows} rows, not {group.rows}")
    except Exception as error:  # whatever pyarrow makes of bytes of anybody
        raise DataError(f"{group.name} is damaged: {described(error)}.") from error
    return table


class Window(io.RawIOBase):
    """A file of which only the bytes from `start` on are there."""

    def __init__(self, content: bytes, start: int) -> None:
        self.content, self.start, self.place = content, start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        bases = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self.place,
            io.SEEK_END: self.start + len(self.content),
        }
        self.place = bases[whence] + offset
        return self.place

    def read(self, size: int = -1) -> bytes:
        begin = self.place - self.start
        if begin < 0:
            raise ValueError("before what was fetched")
        found = self.content[begin : None if size < 0 else begin + size]
        self.place += len(found)
        return found


def _pair(
    name: str,
    wanted: tuple[str, str],
    classes: tuple[str, ...],
    bits: int | None,
    row: dict[str, Any],
    index: int,
) -> tuple[Any, int]:
    """The picture of a row and its class number."""
    cell, label = row[wanted[0]] or {}, row[wanted[1]]
    row_name = f"Row {index} of {name}"
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise DataError(
            f"{row_name} has no picture in it.",
            hint="A stream opens no other file, and no URL.",
        )
    [number] = numbered([label], classes, row_name).targets
    return decoded(content, row_name, bits), number
