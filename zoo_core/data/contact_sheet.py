"""A few pictures of each class as small pictures, for a notebook; only those few are read."""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from zoo_core.data.as_picture import as_picture
from zoo_core.data.generators import following, held_generators
from zoo_core.errors import ZooError, described
from zoo_core.humanize import readable_name, shortened
from zoo_core.pages.fragment import Grid, Meter, Strip, fragment
from zoo_core.pages.thumbnails import data_uri

CLASSES, EACH = 10, 4  # rows, and pictures in each of them
SIZES = ((72, 64), (48, 0), (32, 0))  # pixels of the longer side; up to how many nothing is lost
MOST = 100_000  # letters of all pictures together; noise takes many, and is shown smaller
SECONDS = 3.0  # after which no more are read: they may be large, or far away
FAULTS, NOTES = 5, 10  # of each, those that are told
OTHERS = 20  # of the classes without a row, those that are named

_HEADER = ("class", "pictures", "some of them")


@dataclass
class Sheet:
    """Pictures as they are read: so many are `to_come`, and share the letters that are `left`.

    `faults`: what cannot be read, in words; `late`: time was over.
    """

    pictures: Any
    to_come: int
    left: int = MOST
    faults: list[str] = field(default_factory=list)
    late: bool = False
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def strip(self, indices: list[int]) -> Strip:
        """Those of `indices` that can be read, and for which there is time."""
        return Strip([uri for uri in map(self._uri, indices) if uri])

    def missing(self) -> list[str]:
        """Why pictures are not there: the first of those that cannot be read, a sentence each."""
        more = len(self.faults) - FAULTS
        named = [f"Not readable: {fault}" for fault in self.faults[:FAULTS]]
        named += [f"… and {more} more."] if more > 0 else []
        named += [f"Left out: {line}" for line in self.pictures.skipped[:FAULTS]]
        return named + ["Some are not shown: to read them takes long."] * self.late

    def _uri(self, index: int) -> str:
        self.late = self.late or time.monotonic() > self.until
        if self.late:
            return ""
        name = f"Item {index}"
        try:
            uri = self._within_share(as_picture(self.pictures.read(index), name))
        except Exception as error:  # of a damaged file, or of whoever made the Dataset
            said = error.message if isinstance(error, ZooError) else described(error)
            self.faults.append(f"{name}: {shortened(said, 200)}")
            uri = ""
        self.left, self.to_come = self.left - len(uri), self.to_come - 1
        return uri

    def _within_share(self, picture: Any) -> str:
        """The largest that takes no more than its share of letters; else the smallest."""
        uris = (data_uri(picture, longest, exact) for longest, exact in SIZES)
        share, uri = self.left / self.to_come, ""
        for uri in uris:
            if len(uri) <= share:
                break
        return uri


def contact_sheet(pictures: Any) -> str:
    """Name, counts and a few pictures of each class. The pictures and all generators stay.

    What cannot be read is named. Of a stream nothing is read.
    """
    if pictures.streamed:
        sentence = f"{len(pictures):,} pictures, read as a stream when they are trained on."
        return fragment([sentence, _named(pictures)], title=pictures.name)
    counts = pictures.class_counts()
    chosen = _chosen(pictures, counts)
    sheet = Sheet(pictures, to_come=sum(map(len, chosen.values())))
    with _undisturbed(pictures.read):
        rows = [_row(sheet, number, counts, own) for number, own in chosen.items()]
    others = _others(pictures, counts, list(chosen))
    sentences = [f"{in_words(pictures)}.", *others, *pictures.notes[:NOTES], *sheet.missing()]
    return fragment(sentences, Grid(_HEADER, rows), title=pictures.name)


def in_words(pictures: Any) -> str:
    """How many pictures of how many classes.

    >>> from zoo_core.data.pictures import Pictures
    >>> in_words(Pictures("one", {}.get, [0, 2, 2], None))
    '3 pictures of 3 classes'
    """
    several = ", several for a picture" if pictures.multilabel else ""
    skipped = f", {len(pictures.skipped):,} left out" if pictures.skipped else ""
    one, many = len(pictures), pictures.num_classes
    return (
        f"{one:,} picture{'' if one == 1 else 's'} of {many:,} "
        f"class{'' if many == 1 else 'es'}{several}{skipped}"
    )


def _chosen(pictures: Any, counts: list[int]) -> dict[int, list[int]]:
    """For each of the first classes that have pictures, some from all over its pictures."""
    shown = [number for number, count in enumerate(counts) if count][:CLASSES]
    own: dict[int, list[int]] = {number: [] for number in shown}
    for index, target in enumerate(pictures.targets):
        for number in target if isinstance(target, tuple) else (target,):
            if number in own:
                own[number].append(index)
    return {number: _spread(indices) for number, indices in own.items()}


def _spread(indices: list[int]) -> list[int]:
    """Up to EACH of them, evenly: neighbours are often alike."""
    few = min(EACH, len(indices))
    return [indices[place * len(indices) // few] for place in range(few)]


def _row(
    sheet: Sheet, number: int, counts: list[int], chosen: list[int]
) -> list[str | Meter | Strip]:
    count = counts[number]
    name = _class_name(sheet.pictures, number)
    return [name, Meter(count / max(counts), said=f"{count:,}"), sheet.strip(chosen)]


def _class_name(pictures: Any, number: int) -> str:
    name = str(number) if pictures.classes is None else pictures.classes[number]
    return shortened(readable_name(name), 40)


def _named(pictures: Any) -> str:
    names = [_class_name(pictures, number) for number in range(min(pictures.num_classes, OTHERS))]
    more = pictures.num_classes - len(names)
    return f"Classes: {', '.join(names)}" + (f" and {more:,} more." if more else ".")


def _others(pictures: Any, counts: list[int], shown: list[int]) -> Iterator[str]:
    """The classes that have no row, and how many pictures they have."""
    if not shown:
        yield from [_named(pictures)] if pictures.num_classes else []
        return
    rest = [number for number in range(pictures.num_classes) if number not in set(shown)]
    named = [f"{_class_name(pictures, number)} {counts[number]:,}" for number in rest[:OTHERS]]
    if named:
        more = f" and {len(rest) - OTHERS:,} more" if len(rest) > OTHERS else ""
        yield f"Further classes: {', '.join(named)}{more}."


@contextlib.contextmanager
def _undisturbed(read: Any) -> Iterator[None]:
    """All generators go on afterwards as if nothing had been read; warnings are nobody's here."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        with following(held_generators(read), 0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])
