"""Pictures: what every kind of data opens to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo_core.data.as_picture import as_picture
from zoo_core.data.class_ids import MOST, are_ids, ids_error
from zoo_core.data.class_names import in_order
from zoo_core.data.contact_sheet import contact_sheet, in_words
from zoo_core.data.decoding import (
    Chosen,
    has_digests,
    item_digest,
    read_with_digest,
    was_replaced,
)
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name, shortened
from zoo_core.pages.fragment import unless_it_fails


class Pictures(Dataset[tuple[Any, Any]]):
    """Pictures by index, with their classes.

    `read(i)` gives a PIL picture, or what `as_picture` makes one of; a floating tensor counts as
    preprocessed. `targets`: a class number for each picture; with `multilabel`, a sorted tuple of
    them, which may be empty. `classes`: names, or None. `num_classes`: how many there are, where
    more than names and targets tell. `fixed`: the same picture each time; a dataset that zoo did
    not open may have an augmentation of its own. `skipped`: what could not be read and was left
    out, a line each. `notes`: what else a person should know of this data, a line each.

    >>> from PIL import Image
    >>> grey = [Image.new("L", (8, 8), shade) for shade in (0, 9, 99)]
    >>> pictures = Pictures("own", grey.__getitem__, [0, 1, 1], ["dark", "light"])
    >>> len(pictures), pictures.num_classes, pictures.class_counts()
    (3, 2, [1, 2])
    >>> pictures.subset([2, 0]).targets, pictures.renamed(["light", "dark"]).targets
    ([1, 0], [1, 0, 0])
    >>> pictures.target_tensor(), pictures.refuse_ids()
    (tensor([0, 1, 1]), None)

    Pictures with the same content have the same digest:

    >>> pictures.digest(0) == pictures.subset([0]).digest(0), len(pictures.fingerprint())
    (True, 64)
    >>> picture, digest = pictures.read_with_digest(1)
    >>> picture.size, len(digest), pictures.has_digests, pictures.was_replaced(1)
    ((8, 8), 16, False, False)
    """

    streamed = False  # whether they can only be read in the order of training

    def __init__(
        self,
        name: str,
        read: Callable[[int], Any],
        targets: Iterable[Any],
        classes: Sequence[str] | None,
        *,
        fixed: bool = True,
        multilabel: bool = False,
        num_classes: int | None = None,
        skipped: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.read, self.fixed, self.multilabel = name, read, fixed, multilabel
        self.targets: list[Any] = [_sorted(t) if multilabel else int(t) for t in targets]
        self.classes = in_order(classes, f"`classes` of {name}") if classes is not None else None
        self.skipped, self.notes = list(skipped), list(notes)
        self._given = num_classes
        known = num_classes if self.classes is None else len(self.classes)
        used = {number for target in self.targets for number in _numbers(target)}
        highest = max(used, default=-1)
        if highest >= MOST:
            raise ids_error(name, highest, len(used))
        self.num_classes = highest + 1 if known is None else known

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """The picture and its class number; with `multilabel`, 0 or 1 for each class (C,)."""
        target = self.targets[index]
        if self.multilabel:
            target = torch.zeros(self.num_classes).index_fill(0, torch.tensor(target).long(), 1.0)
        return self.read(index), target

    def __repr__(self) -> str:
        return readable_name(f"<Pictures {shortened(self.name, 80)}: {in_words(self)}>")

    @unless_it_fails
    def _repr_html_(self) -> str:
        return contact_sheet(self)

    def class_counts(self) -> list[int]:
        """How many pictures each class has, of all classes."""
        counts = Counter(number for target in self.targets for number in _numbers(target))
        return [counts[number] for number in range(self.num_classes)]

    def target_tensor(self) -> Tensor:
        """All targets: int64 (N,), or with `multilabel` float32 (N, C) of 0 and 1."""
        if not self.multilabel:
            return torch.tensor(self.targets, dtype=torch.int64)
        ones = torch.zeros(len(self), self.num_classes)
        pairs = [(i, number) for i, target in enumerate(self.targets) for number in target]
        if pairs:
            ones[tuple(torch.tensor(pairs).T)] = 1.0
        return ones

    def subset(self, indices: Sequence[int]) -> Pictures:
        """The pictures at `indices`, in that order."""
        chosen = [int(i) for i in indices]
        return self._with(Chosen(self.read, chosen), [self.targets[i] for i in chosen])

    def refuse_ids(self) -> None:
        """Raise DataError where a head for all class numbers would hardly have a use for them.

        That is where nothing says how many classes there are, the highest number is above 100, and
        fewer than a tenth of the numbers up to it occur.
        """
        used = {number for target in self.targets for number in _numbers(target)}
        told = self.classes is not None or self._given is not None
        if not told and are_ids(self.num_classes - 1, len(used)):
            raise ids_error(self.name, self.num_classes - 1, len(used))

    def renamed(self, classes: Sequence[str]) -> Pictures:
        """The same pictures with class numbers of `classes`, which has all names there are.

        Raises DataError where a name that pictures have stands for two classes: "crane" is a bird
        and a machine in ImageNet.
        """
        assert self.classes is not None
        self._refuse_twins(classes)
        number = [classes.index(name) for name in self.classes]
        if self.multilabel:
            targets: list[Any] = [[number[t] for t in target] for target in self.targets]
        else:
            targets = [number[t] for t in self.targets]
        return self._with(self.read, targets, classes)

    def _refuse_twins(self, classes: Sequence[str]) -> None:
        assert self.classes is not None
        here, there = Counter(self.classes), Counter(classes)
        used = {number for target in self.targets for number in _numbers(target)}
        names = [self.classes[number] for number in sorted(used)]
        twins = [name for name in names if max(here[name], there[name]) > 1]
        if twins:
            raise DataError(
                f'"{twins[0]}" is the name of two classes, and {self.name} has its classes in '
                "another order, so nothing says which is which.",
                hint="Give both different names, or the classes in the same order.",
            )

    def _with(
        self,
        read: Callable[[int], Any],
        targets: list[Any],
        classes: Sequence[str] | None = None,
    ) -> Pictures:
        return Pictures(
            self.name,
            read,
            targets,
            self.classes if classes is None else classes,
            fixed=self.fixed,
            multilabel=self.multilabel,
            num_classes=self._given,
            skipped=self.skipped,
            notes=self.notes,
        )

    # --- content ---

    @property
    def has_digests(self) -> bool:
        """Whether the content of a picture is known without decoding it."""
        return self.fixed and has_digests(self.read)

    def digest(self, index: int) -> bytes:
        """16 bytes that identify the content of the picture at `index`.

        Of a file its bytes count, of an array its row; else the picture is decoded for it.
        """
        if has_digests(self.read):
            return self.read.digest(index)  # type: ignore[attr-defined]
        return item_digest(self.read(index))

    def read_with_digest(self, index: int) -> tuple[Any, bytes]:
        """The picture at `index`, and the digest of what was read for it."""
        return read_with_digest(self.read, index)

    def was_replaced(self, index: int) -> bool:
        """Whether the file of the picture at `index` is another than when its digest was taken.

        False where that cannot be known.
        """
        return was_replaced(self.read, index)

    def fingerprint(self) -> str:
        """64 hex digits that identify the content of all pictures, in their order."""
        return fingerprint_of(map(self.digest, range(len(self))))


def fingerprint_of(digests: Iterable[bytes]) -> str:
    """64 hex digits that identify pictures with these digests, in their order."""
    hasher = hashlib.blake2b(digest_size=32)
    for digest in digests:
        hasher.update(digest)
    return hasher.hexdigest()


def place_of(pictures: Pictures, index: int) -> int:
    """Where a picture is in the data that it was chosen from."""
    read = pictures.read
    while isinstance(read, Chosen):
        index, read = read.indices[index], read.read
    return index


def name_of(pictures: Pictures, index: int) -> str:
    """What a picture is called: its file, or its place in the data."""
    read = pictures.read
    while isinstance(read, Chosen):
        read = read.read
    place = place_of(pictures, index)
    if hasattr(read, "name_of"):
        return str(read.name_of(place))
    return f"{readable_name(pictures.name)} {place}"


def is_tensor_item(pictures: Pictures) -> bool:
    """Whether items are floating tensors, which count as preprocessed."""
    return isinstance(as_picture(pictures.read(0), f"Item 0 of {pictures.name}"), Tensor)


def _numbers(target: Any) -> tuple[int, ...]:
    return target if isinstance(target, tuple) else (target,)


def _sorted(target: Iterable[Any]) -> tuple[int, ...]:
    return tuple(sorted({int(number) for number in target}))
