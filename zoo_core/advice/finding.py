"""What inspect() finds: faults of files, copies, sizes; by features, outliers and wrong labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo_core.advice.copies import copies
from zoo_core.advice.inspection import ISSUES
from zoo_core.advice.look import Look, looks
from zoo_core.advice.mislabelled import Doubts, doubts
from zoo_core.advice.outliers import ENOUGH_FOR_QUARTILES, odd_sizes, outliers
from zoo_core.advice.probe import probe
from zoo_core.data.pictures import Pictures, name_of
from zoo_core.data.splitting import stratified
from zoo_core.errors import DataError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue

Row = dict[str, Any]


class Finding:
    """All that is found, part by part. `looked`: of each part, of each picture."""

    def __init__(self, parts: Mapping[str, Pictures], network: ZooModel, progress: bool) -> None:
        self.parts, self.network, self.progress = parts, network, progress
        self.notes: list[str] = []
        self.looked = {part: looks(own, progress=progress) for part, own in parts.items()}
        self.places = [
            (part, index)
            for part, own in self.looked.items()
            for index, look in enumerate(own)
            if not look.fault
        ]
        if not self.places:
            first = next(look.fault for own in self.looked.values() for look in own)
            total = sum(map(len, parts.values()))
            raise DataError(f"None of the {total:,} pictures can be read.", hint=first)

    def rows(self) -> Iterator[tuple[tuple[Any, ...], Row]]:
        """Rows, each with what puts it in its place among the others."""
        yield from self._unreadable()
        yield from self._copies()
        yield from self._sizes()
        for part, pictures in self.parts.items():
            yield from self._by_features(part, pictures)

    def _row(
        self, issue: str, part: str, index: int, why: str, worst: Any = 0, **more: Any
    ) -> tuple[tuple[Any, ...], Row]:
        pictures = self.parts[part]
        row = {
            "index": index,
            "picture": name_of(pictures, index),
            "issue": issue,
            "label": _label(pictures, index),
            "likely": None,
            "margin": None,
            "why": why,
            "part": part,
        }
        return (list(ISSUES).index(issue), worst, part, index), row | more

    def _look(self, place: tuple[str, int]) -> Look:
        return self.looked[place[0]][place[1]]

    # --- without a network ---

    def _unreadable(self) -> Iterator[tuple[tuple[Any, ...], Row]]:
        for part, own in self.looked.items():
            for index, look in enumerate(own):
                if look.fault:
                    yield self._row("unreadable", part, index, look.fault)
        for pictures in self.parts.values():
            self.notes += [f"Left out already: {line}" for line in pictures.skipped]

    def _copies(self) -> Iterator[tuple[tuple[Any, ...], Row]]:
        seen = [self._look(place) for place in self.places]
        found = copies([look.digest for look in seen], np.stack([look.tiny for look in seen]))
        held_out = self._held_out()
        across = 0
        for number, (first, exact) in found.items():
            here, there = self.places[number], self.places[first]
            other = _label(self.parts[there[0]], there[1])
            differs = other != _label(self.parts[here[0]], here[1])
            split = here[0] != there[0]
            across += split or (here in held_out) != (there in held_out)
            words = "the same as" if exact else "nearly the same as"
            why = f"{words} {name_of(self.parts[there[0]], there[1])}"
            why += f", which is labelled {other}" if differs else ""
            why += ", which is trained on" if split else ""
            yield self._row("duplicate", *here, why, (not differs, not split, not exact))
        if across:
            where = "" if "validation" in self.parts else ", if a fifth is held out by seed 0"
            self.notes.append(
                f"{across:,} of the duplicates are on both sides of training and "
                f"validation{where}: validation then promises too much."
            )

    def _held_out(self) -> set[tuple[str, int]]:
        """What training would hold out by default; nothing where that is said, or cannot be."""
        if "validation" in self.parts:
            return {("validation", i) for i in range(len(self.parts["validation"]))}
        pictures, there = self.parts[""], [index for _, index in self.places]
        groups = [self._look(place).digest for place in self.places]
        try:
            _, held_out = stratified(
                [pictures.targets[index] for index in there],
                max(len(there) // 5, 1),  # as of `fifth_held_out`
                seed=0,
                groups=groups if pictures.has_digests else None,
            )
        except DataError:
            return set()
        return {("", there[place]) for place in held_out}

    def _sizes(self) -> Iterator[tuple[tuple[Any, ...], Row]]:
        found = odd_sizes([self._look(place).size for place in self.places])
        for number, why in found.items():
            yield self._row("size", *self.places[number], why)

    # --- by features ---

    def _by_features(self, part: str, pictures: Pictures) -> Iterator[tuple[tuple[Any, ...], Row]]:
        there = [index for own, index in self.places if own == part]
        if not there:
            return
        seen = pictures.subset(there)
        features = probe(self.network, seen, progress=self.progress).features
        what = f"{part}: " if part else ""
        if len(there) < ENOUGH_FOR_QUARTILES:
            self.notes.append(f"{what}{len(there)} pictures are too few to tell an outlier by.")
        for number, times in outliers(features).items():
            why = f"{times:.1f} times as far from its neighbours as the middle picture"
            yield self._row("outlier", part, there[number], why, -times)
        found = doubts(features, seen.target_tensor())
        if isinstance(found, str):
            self.notes.append(f"{what}Not enough to say: {found}.")
            return
        yield from self._labels(part, pictures, there, found)

    def _labels(
        self, part: str, pictures: Pictures, there: list[int], found: Doubts
    ) -> Iterator[tuple[tuple[Any, ...], Row]]:
        alone = int(found.margins.isnan().sum())
        if alone:
            self.notes.append(f"{alone:,} pictures are of classes too small to judge their labels.")
        self.notes.append(
            f"The labels were judged by what enters {found.stage} of "
            f"{catalogue().bare(self.network.info)}: a head is right on {found.accuracy:.1%} of "
            "pictures left out."
        )
        names = names_of(pictures)
        for number in (found.margins < 0).nonzero()[:, 0].tolist():
            index, margin = there[number], float(found.margins[number])
            likely = names[int(found.likely[number])]
            if pictures.multilabel:
                has = int(found.likely[number]) in pictures.targets[index]
                likely, why = (f"not {likely}", f"{likely} is in doubt") if has else (
                    likely, f"{likely} may be missing")  # fmt: skip
            else:
                why = f"the others speak for {likely}"
            yield self._row("label", part, index, why, margin, likely=likely, margin=margin)


def names_of(pictures: Pictures) -> list[str]:
    return list(pictures.classes or map(str, range(pictures.num_classes)))


def _label(pictures: Pictures, index: int) -> str:
    names, target = names_of(pictures), pictures.targets[index]
    numbers = target if isinstance(target, tuple) else (target,)
    return ", ".join(names[number] for number in numbers)
