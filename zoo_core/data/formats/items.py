"""One item of somebody's Dataset: (picture, class number), a vector for several, or a row."""

from __future__ import annotations

from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Subset

from zoo_core.data.class_ids import are_ids, ids_error
from zoo_core.data.formats.hfds import columns, is_table, labels_of
from zoo_core.data.formats.local_dataset import refuse_damage
from zoo_core.data.formats.numbering import numbered
from zoo_core.errors import DataError


def decoded_here(feature: Any) -> Any:
    """A column of pictures of which only what zoo reads is decoded, and nothing is fetched."""
    if not feature.decode:
        return feature
    from zoo_core.data.formats.picture_feature import PictureFeature

    return PictureFeature(mode=feature.mode)


class Rows(Dataset[tuple[Any, Any]]):
    """A dataset of Hugging Face as (picture, class): two of its columns."""

    def __init__(self, table: Any) -> None:
        self.name = type(table).__name__
        refuse_damage(table, self.name)
        plain = table.with_format(None)
        self.image, self.label = columns(plain.features, self.name)
        self.table = table.cast_column(self.image, decoded_here(plain.features[self.image]))
        numbers = labels_of(plain, self.label, self.name)
        self.classes, self.several = numbers.classes, numbers.multilabel
        used = {n for t in numbers.targets if self.several for n in t}
        highest = max(used, default=-1)
        if numbers.classes is None and are_ids(highest, len(used)):  # each vector is as long
            raise ids_error(self.name, highest, len(used))
        self.size = len(numbers.classes) if numbers.classes is not None else highest + 1
        self.targets = [self._vector(t) if self.several else t for t in numbers.targets]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = self.table[index]
        missing = [column for column in (self.image, self.label) if column not in row]
        if missing:
            raise DataError(
                f'A row of the {self.name} has no "{missing[0]}", but {", ".join(row)}.',
                hint="Keep the columns in its transform, or have none: data.with_format(None).",
            )
        return row[self.image], self._number(row[self.label])

    def _number(self, label: Any) -> Any:
        """A label as a class number, or as a vector where there are several."""
        value = label.tolist() if hasattr(label, "tolist") else label
        if value == []:
            return self._vector(())
        [number] = numbered([value], self.classes, self.name).targets
        return self._vector(number) if self.several else number

    def _vector(self, numbers: Any) -> list[int]:
        return [int(number in numbers) for number in range(self.size)]


def in_pairs(data: Any) -> Any:
    """The same data, with tables of Hugging Face in it as pairs."""
    if is_table(data):
        return Rows(data)
    if type(data) is Subset and is_table_inside(data.dataset):
        return Subset(in_pairs(data.dataset), data.indices)
    if type(data) is ConcatDataset and any(is_table_inside(part) for part in data.datasets):
        return ConcatDataset([in_pairs(part) for part in data.datasets])
    return data


def is_table_inside(data: Any) -> bool:
    """Whether it is a table of Hugging Face, or chosen or joined from such."""
    if type(data) is Subset:
        return is_table_inside(data.dataset)
    return is_table(data) or (
        type(data) is ConcatDataset and any(map(is_table_inside, data.datasets))
    )


def pair(item: Any, index: int, name: str) -> tuple[Any, Any]:
    """The picture and the class of an item. Raises DataError for anything else."""
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, dict):
        raise DataError(
            f"Item {index} of the {name} is a dict with {', '.join(map(str, item)) or 'nothing'}, "
            "not (picture, class number).",
            hint='Return such pairs from __getitem__: item["image"], item["label"].',
        )
    shape = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    kind = f"a {type(item).__name__}{shape}"
    raise _no_item(index, name, f", but {kind}")


def class_of(target: Any, index: int, name: str) -> int | list[int]:
    """A class number, or the numbers of a vector."""
    values = target.tolist() if hasattr(target, "tolist") else target
    try:
        if isinstance(values, list | tuple) and len(values) != 1:
            return [_whole(value) for value in values]
        number = _whole(values[0] if isinstance(values, list | tuple) else values)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_item(index, name, f": its class is {target!r:.60}") from error
    if number < 0:
        raise DataError(
            f"Item {index} of the {name} has class number {number}; the first is 0.",
            hint="Leave out pictures without a class, and number the others from 0.",
        )
    return number


def _whole(value: Any) -> int:
    if value != int(value):
        raise ValueError("a share of a class is no class")
    return int(value)


def _no_item(index: int, name: str, instead: str) -> DataError:
    hint = "For several classes, give a vector of 0 and 1, one for each class."
    return DataError(
        f"Item {index} of the {name} is no (picture, class number){instead}.", hint=hint
    )


def ones(target: Any, size: int, index: int, name: str) -> list[int]:
    """Where a vector of 0 and 1 holds 1."""
    vector = isinstance(target, list) and len(target) == size > 0
    if not vector or not set(target) <= {0, 1}:
        raise DataError(
            f"Item {index} of the {name} has no vector of {size} numbers that are 0 or 1.",
            hint="Give one class number to each picture, or such a vector to all.",
        )
    return [number for number, value in enumerate(target) if value]
