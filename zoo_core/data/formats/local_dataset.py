"""Folders that `datasets` reads: they lead nowhere else, and cannot end the process.

A README.md may name files of a server, and a `state.json` those of another folder; Arrow believes
the offsets in a file. All of that is looked at before `datasets` sees it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from zoo_core import files
from zoo_core.data.no_files import only_files
from zoo_core.errors import DataError, described
from zoo_core.humanize import readable_name

CARDS = ("README.md", ".huggingface.yaml")
MOST = 2**24  # bytes of a card, and of what says how a dataset was saved
# Those of `datasets` that hold tables or pictures, and open nothing but the files they are given.
BUILDERS = ("arrow", "csv", "imagefolder", "json", "parquet", "webdataset")


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` made a folder."""
    return (folder / "state.json").exists() or (folder / "dataset_dict.json").exists()


def refuse_ways_out(folder: Path) -> None:
    """Raise DataError for a folder that names what is not in it, or that holds what is no file.

    Every Arrow file that would be read is validated.
    """
    every = only_files(folder)
    odd = next((path for path in every if "::" in str(path.relative_to(folder))), None)
    if odd is not None:  # to fsspec that is an address in an address
        raise DataError(f'{readable_name(odd)} has "::" in its name.', hint="Rename it.")
    if is_saved(folder):
        tables = list(_saved_tables(folder))
    else:
        tables = [path for path in every if path.suffix == ".arrow"]
        _check_cards(folder)
    for path in tables:
        _validate(path)


def refuse_damage(table: Any, name: str) -> None:
    """Raise DataError where the cells of a `datasets.Dataset` are not where it says they are."""
    try:
        table.data.validate(full=True)
        indices = getattr(table, "_indices", None)
        if indices is not None:
            indices.validate(full=True)
            chosen = indices.column(0).to_numpy()
            if len(chosen) and not 0 <= chosen.min() <= chosen.max() < table.data.num_rows:
                raise IndexError("it names rows that are not there")
    except Exception as error:
        raise DataError(f"{name} is damaged: {described(error)}.") from error


def _validate(path: Path) -> None:
    import pyarrow

    try:
        with files.opened(path), pyarrow.memory_map(str(path)) as mapped:
            try:
                reader = pyarrow.ipc.open_stream(mapped)
            except pyarrow.ArrowInvalid:
                reader = pyarrow.ipc.open_file(mapped)
            reader.read_all().validate(full=True)
    except Exception as error:
        raise DataError(f"{readable_name(path)} is damaged: {described(error)}.") from error


# --- of save_to_disk -----------------------------------------------------------------------------


def _saved_tables(folder: Path) -> Iterator[Path]:
    """The Arrow files of a saved dataset, or of the parts of one."""
    if (folder / "state.json").exists():
        state = _json(folder / "state.json")
        lists = [state.get(key) or [] for key in ("_data_files", "_indices_data_files")]
        names = [entry.get("filename") for entries in lists for entry in entries]
        yield from (_inside(folder, name, "state.json") for name in names)
    else:
        for name in _json(folder / "dataset_dict.json").get("splits") or []:
            yield from _saved_tables(_inside(folder, name, "dataset_dict.json"))


def _json(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(files.text(path, MOST))
    except (OSError, ValueError, RecursionError) as error:
        folder = readable_name(path.parent)
        raise DataError(f"{folder} cannot be read as a dataset: {described(error)}.") from error
    if not isinstance(table, dict):
        raise DataError(f"{readable_name(path)} is no table of what was saved.")
    return table


def _inside(folder: Path, name: Any, file: str) -> Path:
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise _way_out(readable_name(folder / file), name)
    return folder / name


# --- of cards ------------------------------------------------------------------------------------


def _check_cards(folder: Path) -> None:
    """Refuse a card whose `configs` name what is not in the folder."""
    for path in (folder / name for name in CARDS):
        if path.exists():
            checked_card(path, readable_name(path))


def checked_card(path: Path, name: str, holder: str = "folder") -> dict[str, Any]:
    """The metadata of a card, called `name`.

    Raises DataError where its `configs` name what is not in the `holder` of the data.
    """
    import yaml
    from huggingface_hub import DatasetCard

    try:
        text = files.text(path, MOST)
        card = yaml.safe_load(text) if path.suffix == ".yaml" else DatasetCard(text).data.to_dict()
        configs = card.get("configs") if card else None
        way_out = next((each for each in _texts(configs, set()) if _leads_out(each)), None)
    except Exception as error:  # a card is anybody's text
        raise DataError(f"{name} cannot be read: {described(error)}.") from error
    if way_out is not None:
        raise _way_out(name, way_out, holder)
    return dict(card or {})


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """Every text in tables and lists, each of those once: YAML may repeat them without end."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and id(value) not in seen:
        seen.add(id(value))
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(each, seen)


def _leads_out(text: str) -> bool:
    path = PurePosixPath(text)
    away = path.is_absolute() or ".." in path.parts or text.startswith("~")
    return away or "://" in text or "::" in text


def _way_out(file: str, named: Any, holder: str = "folder") -> DataError:
    return DataError(
        f'{file} names "{readable_name(named)}", which is not in its {holder}.',
        hint=f"Nothing is downloaded from elsewhere, nor read there: data lies in its {holder}.",
    )
