"""Datasets of Hugging Face on disk: saved by `save_to_disk`, or what `load_dataset` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.data.decoding import Encoded, file_content
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, bits_of, chosen_part
from zoo_core.errors import DataError, did_you_mean

LABELS = ("label", "labels")


def open_hfds(spec: Spec) -> Pictures:
    """`hfds/DIR`: the columns of pictures and classes are found by their types.

    `?image=img&label=fine_label` names them where there are several. Without a part, the training
    part. A list of classes in a cell means several at once. Nothing is decoded here.
    """
    try:
        from datasets import Image
    except ImportError as error:
        hint = "Run: pip install 'zoo-core[datasets]'"
        raise DataError(f'The data "{spec.text}" needs datasets.', hint=hint) from error
    table = _table(spec)
    image = _image_column(table.features, spec)
    label = _label_column(table.features, spec)
    cells = table.select_columns([image]).cast_column(image, Image(decode=False))
    labels = table.select_columns([label])[:][label]
    numbers = numbered(labels, _names(table.features[label]), spec.text)
    return Pictures(
        spec.name,
        Cells(cells, image, spec.text, bits_of(spec)),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
    )


class Cells(Encoded):
    """Reads pictures from a column, which holds their bytes or their paths."""

    def __init__(self, table: Any, column: str, name: str, bits: int | None = None) -> None:
        super().__init__(bits)
        self.table, self.column, self.name = table, column, name

    def content(self, index: int) -> bytes:
        cell = self.table[index][self.column] or {}
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        if not cell.get("path"):
            raise DataError(f"{self.name_of(index)} has no picture.")
        return file_content(Path(cell["path"]))

    def name_of(self, index: int) -> str:
        return f"Row {index} of {self.name}"


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
    try:
        dataset = _loaded(folder)
    except Exception as error:  # datasets raises what its readers raise
        said = str(error).strip().split("\n")[0]
        raise DataError(f"{folder} cannot be read as a dataset: {said}") from error
    if isinstance(dataset, dict):  # DatasetDict is one
        dataset = dataset[chosen_part(spec, dataset)]
    elif spec.part:
        chosen_part(spec, ())
    if len(dataset) == 0:
        raise DataError(f"{spec.text} has no rows.")
    return dataset.with_format(None)


def _loaded(folder: Path) -> Any:
    import datasets

    if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():
        return datasets.load_from_disk(str(folder))
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(str(folder))
    finally:
        if shown:
            datasets.enable_progress_bars()


# --- columns -------------------------------------------------------------------------------------


def _image_column(features: Any, spec: Spec) -> str:
    from datasets import Image

    candidates = [name for name, feature in features.items() if isinstance(feature, Image)]
    return _one("image", candidates, features, spec)


def _label_column(features: Any, spec: Spec) -> str:
    named = [name for name, feature in features.items() if _names(feature) is not None]
    candidates = named or [name for name in LABELS if name in features]
    return _one("label", candidates, features, spec)


def _one(option: str, candidates: list[str], features: Any, spec: Spec) -> str:
    """The column that an option names, or the only one found."""
    asked = spec.options.get(option)
    if asked is not None and (asked in candidates or (option == "label" and asked in features)):
        return asked
    if asked is None and len(candidates) == 1:
        return candidates[0]
    names = candidates if len(candidates) > 1 else list(features)
    fault = f"several {option} columns" if len(candidates) > 1 else f"no {option} column"
    if asked is not None:
        fault, names = f'no {option} column "{asked}"', candidates or list(features)
    raise DataError(
        f"{spec.name} has {fault}: {', '.join(names)}. {did_you_mean(asked or '', names)}".strip(),
        hint=f"Name one: {spec.name.partition('?')[0]}?{option}=COLUMN",
    )


def _names(feature: Any) -> list[str] | None:
    """The class names of a ClassLabel, or of a list of them."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    names = getattr(feature, "names", None)
    return list(names) if names is not None else None
