"""Datasets of Hugging Face: by `save_to_disk`, what `load_dataset` reads, or in Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.data.decoding import Encoded, decoded, file_content
from zoo_core.data.formats.local_dataset import (
    BUILDERS,
    is_saved,
    refuse_damage,
    refuse_ways_out,
)
from zoo_core.data.formats.numbering import Numbered, numbered
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import URL, Spec, bits_of, chosen_part
from zoo_core.errors import DataError, did_you_mean
from zoo_core.humanize import readable_name

LABELS = ("label", "labels")


def open_hfds(spec: Spec) -> Pictures:
    """`hfds/DIR`: the columns of pictures and classes are found by their types.

    `?image=img&label=fine_label` names them where there are several. Without a part, the training
    part. A list of classes in a cell means several at once. Nothing is decoded here.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        hint = "Run: pip install 'zoo-core[datasets]'"
        raise DataError(f'The data "{spec.text}" needs datasets.', hint=hint) from error
    table = _table(spec)
    hint = f"Name one: {spec.name.partition('?')[0]}?{{}}=COLUMN"
    chosen = columns(table.features, spec.name, hint, spec.options)
    return pictures_of(table, chosen, spec.name, spec.text, bits_of(spec), [spec.path])


def open_table(table: Any, name: str) -> Pictures:
    """A `datasets.Dataset` in Python, as `open_hfds` does it. Its format does not matter."""
    refuse_damage(table, name)
    plain = table.with_format(None)
    return pictures_of(plain, columns(plain.features, name), name, name)


def is_table(data: Any, kind: str = "Dataset") -> bool:
    """Whether it is a `datasets.Dataset`; the package is not imported for that."""
    known = getattr(sys.modules.get("datasets"), kind, None)
    return known is not None and isinstance(data, known)


def pictures_in(table: Any) -> Iterator[Any]:
    """The pictures of a `datasets.Dataset` or `IterableDataset` in order, whatever else it has."""
    from datasets import Image

    name, features = type(table).__name__, table.features
    if features is None:
        hint = "Say them: data.cast(datasets.Features({...}))."
        raise DataError(f"The {name} does not say what its columns are.", hint=hint)
    every = list(features)
    image = _one("image", _images(features), every, None, name, IN_PYTHON)
    plain = table.select_columns([image]).with_format(None)
    plain = plain.cast_column(image, Image(decode=False))
    cells = Cells(plain, image, name)
    for index, row in enumerate(plain):
        content = cells.content_of(row[image] or {}, index)
        yield decoded(content, cells.name_of(index))


def _images(features: Mapping[str, Any]) -> list[str]:
    from datasets import Image

    return [column for column, feature in features.items() if isinstance(feature, Image)]


def pictures_of(
    table: Any,
    chosen: tuple[str, str],
    name: str,
    text: str,
    bits: int | None = None,
    folders: Sequence[Path] | None = None,
) -> Pictures:
    """Two columns of a table as Pictures; see `Cells` for `folders`."""
    from datasets import Image

    image, label = chosen
    cells = table.select_columns([image]).cast_column(image, Image(decode=False))
    numbers = labels_of(table, label, text)
    return Pictures(
        name,
        Cells(cells, image, text, bits, folders),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
    )


def labels_of(table: Any, column: str, name: str) -> Numbered:
    """The class numbers in a column of a table that has no format."""
    return numbered(
        table.select_columns([column])[:][column], names_of(table.features[column]), name
    )


class Cells(Encoded):
    """Reads pictures from a column, which holds their bytes or their paths.

    `folders`: where those paths have to lie; None: anywhere on this machine.
    """

    def __init__(
        self,
        table: Any,
        column: str,
        name: str,
        bits: int | None = None,
        folders: Sequence[Path] | None = None,
    ) -> None:
        super().__init__(bits)
        self.table, self.column, self.name, self.folders = table, column, name, folders

    def content(self, index: int) -> bytes:
        return self.content_of(self.table[index][self.column] or {}, index)

    def content_of(self, cell: Mapping[str, Any], index: int) -> bytes:
        """The bytes of the picture that a cell holds or names."""
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        if not cell.get("path"):
            raise DataError(f"{self.name_of(index)} has no picture.")
        path = str(cell["path"])
        if URL.match(path) or not (self.folders is None or _lies_in(path, self.folders)):
            where = "a URL" if URL.match(path) else "not in its folder"
            raise DataError(
                f'{self.name_of(index)} names "{readable_name(path)}", which is {where}.',
                hint="Nothing is downloaded here: a picture lies in the dataset or in its folder.",
            )
        return file_content(Path(path))

    def name_of(self, index: int) -> str:
        return f"Row {index} of {self.name}"


def _lies_in(path: str, folders: Sequence[Path]) -> bool:
    """Whether a path leads into a folder, by its text; `datasets` follows links of the folder."""
    plain = Path(os.path.normpath(Path(path).absolute()))
    roots = [root for folder in folders for root in (folder.absolute(), folder.resolve())]
    return any(plain.is_relative_to(root) for root in roots)


# --- the table -----------------------------------------------------------------------------------


def _table(spec: Spec) -> Any:
    """The part that is asked for, as rows of plain Python."""
    folder = spec.path
    if not folder.is_dir():
        raise DataError(
            f"No folder at {folder}.",
            hint="hfds/DIR reads from disk. To have a dataset of the Hub there: "
            f"datasets.load_dataset(NAME).save_to_disk({str(folder)!r})",
        )
    refuse_ways_out(folder)
    try:
        dataset = _loaded(folder)
    except DataError:
        raise
    except Exception as error:  # datasets raises what its readers raise
        said = str(error).strip().split("\n")[0]
        raise DataError(f"{folder} cannot be read as a dataset: {said}") from error
    if isinstance(dataset, dict):  # DatasetDict is one
        dataset = dataset[chosen_part(spec, dataset)]
    elif spec.part:
        chosen_part(spec, ())
    if len(dataset) == 0:
        raise DataError(f"{spec.text} has no rows.")
    refuse_damage(dataset, spec.text)
    return dataset.with_format(None)


def _loaded(folder: Path) -> Any:
    import datasets

    path = str(folder.absolute())
    if is_saved(folder):
        return datasets.load_from_disk(path)
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(path)
        kind = type(builder).__module__.rpartition(".")[2]
        if kind not in BUILDERS:
            raise DataError(f"{folder} holds data of the kind {kind}, not a table or pictures.")
        builder.download_and_prepare()
        return builder.as_dataset()
    finally:
        if shown:
            datasets.enable_progress_bars()


# --- columns -------------------------------------------------------------------------------------


IN_PYTHON = 'Keep one, or call it so: data.select_columns([...]), data.rename_column("name", "{}").'


def columns(
    features: Mapping[str, Any],
    name: str,
    hint: str = IN_PYTHON,
    asked: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """The columns of pictures and of classes, found by their types, or those that are `asked` for.

    `hint`: what to do where there is not one of each. Raises DataError then.
    """
    named = [column for column, feature in features.items() if names_of(feature) is not None]
    labels = named or [column for column in LABELS if column in features]
    found = {"image": _images(features), "label": labels}
    image, label = (
        _one(option, candidates, list(features), (asked or {}).get(option), name, hint)
        for option, candidates in found.items()
    )
    return image, label


def _one(
    option: str, candidates: list[str], every: list[str], asked: str | None, name: str, hint: str
) -> str:
    """The column that an option names, or the only one found."""
    if asked is not None and (asked in candidates or (option == "label" and asked in every)):
        return asked
    if asked is None and len(candidates) == 1:
        return candidates[0]
    names = candidates if len(candidates) > 1 else every
    fault = f"several {option} columns" if len(candidates) > 1 else f"no {option} column"
    if asked is not None:
        fault, names = f'no {option} column "{asked}"', candidates or every
    raise DataError(
        f"{name} has {fault}: {', '.join(names)}. {did_you_mean(asked or '', names)}".strip(),
        hint=hint.format(option),
    )


def names_of(feature: Any) -> list[str] | None:
    """The class names of a ClassLabel, or of a list of them."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    names = getattr(feature, "names", None)
    return list(names) if names is not None else None
