"""Pictures in two parts: by seed, each class with its share, and no picture on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import torch

from zoo_core.data.balance import indices_by_class
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError

ALONE = "Add pictures, or pass val=False for no validation."


def split(pictures: Pictures, held_out: int | float, seed: int) -> tuple[Pictures, Pictures]:
    """Pictures to train with and pictures held out, by seed.

    `held_out`: a count, or a share between 0 and 1 (rounded down, at least one). Each class keeps
    its share, and equal pictures are on the same side: those with the same bytes. Datasets that zoo
    did not open are not read for that. Raises DataError where that cannot be.

    >>> from zoo_core.data.opening import open_data
    >>> train, val = split(open_data("digits"), 0.2, seed=0)
    >>> len(train), len(val), sorted(set(val.targets))
    (1438, 359, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    count = _count(held_out, len(pictures))
    groups = [pictures.digest(i) for i in range(len(pictures))] if pictures.has_digests else None
    train, val = stratified(pictures.targets, count, seed=seed, groups=groups)
    return pictures.subset(train), pictures.subset(val)


def fifth_held_out(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    """Pictures to train and to validate with, where nobody says which: a fifth is held out."""
    return split(pictures, max(len(pictures) // 5, 1), seed)


def _count(held_out: int | float, size: int) -> int:
    fraction = isinstance(held_out, Real) and 0 < held_out < 1
    count = max(int(size * held_out), 1) if fraction else held_out
    if not _is_count(count, 1) or count >= size:
        raise DataError(
            f"{held_out!r} of {size} pictures cannot be held out.",
            hint=f"Hold out a share between 0.0 and 1.0, or 1 to {size - 1} pictures.",
        )
    return int(count)


def stratified(
    targets: Sequence[Any],
    count: int,
    *,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> tuple[list[int], list[int]]:
    """Indices split in two, by seed: the second of about `count`, each class keeping its share.

    Every class with two pictures or more is in both. Items of one of the `groups` stay together; a
    class is then in both where it has two groups of its own. With tuples of classes as targets,
    each class that occurs is in the first part, and the shares follow iterative stratification
    (Sechidis et al., 2011). Raises DataError where a class has too little for both parts.

    >>> stratified([0, 0, 0, 0, 1, 1, 1, 1], 2, seed=0)
    ([1, 2, 3, 5, 6, 7], [0, 4])
    >>> stratified([0, 0, 0, 0, 1, 1, 1, 1], 2, seed=0, groups="aabbccdd")
    ([2, 3, 6, 7], [0, 1, 4, 5])
    """
    _refuse_pictures(targets)
    if not _is_count(count, 0):
        raise DataError(f"{count!r} is no number of pictures to hold out: 0, 1, 2, …")
    generator = torch.Generator().manual_seed(seed)
    together = _together(groups if groups is not None else range(len(targets)))
    several = any(isinstance(target, tuple) for target in targets)
    draw = _by_labels if several else _by_class
    chosen = draw(targets, count, together, generator)
    return [i for i in range(len(targets)) if i not in chosen], sorted(chosen)


def _together(groups: Sequence[Hashable]) -> list[list[int]]:
    """For each index all indices of its group."""
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return [members[group] for group in groups]


# --- one class each ------------------------------------------------------------------------------


def _by_class(
    targets: Sequence[int], count: int, together: list[list[int]], generator: torch.Generator
) -> set[int]:
    """Class by class, in random order, as many as its share; groups that fit come whole."""
    by_class = indices_by_class(targets)
    sizes = {target: len(indices) for target, indices in by_class.items()}
    _check_lonely(by_class, together)
    shares = _shares(sizes, count)
    taken: Counter[int] = Counter()
    chosen: set[int] = set()

    def take(index: int, limits: dict[int, int]) -> None:
        more = Counter(targets[i] for i in together[index])
        if index not in chosen and all(taken[t] + more[t] <= limits[t] for t in more):
            chosen.update(together[index])
            taken.update(more)

    most = {target: size - 1 for target, size in sizes.items()}
    for target, indices in by_class.items():
        order = [indices[i] for i in torch.randperm(len(indices), generator=generator).tolist()]
        for index in order:
            if taken[target] >= shares[target]:
                break
            take(index, shares)
        for index in sorted(order, key=lambda i: len(together[i])):
            if taken[target]:
                break
            take(index, most)
    return chosen


def _check_lonely(by_class: dict[int, list[int]], together: list[list[int]]) -> None:
    for target, indices in by_class.items():
        if len(indices) < 2 or set(indices) <= set(together[indices[0]]):
            copies = f", in {len(indices)} copies" if len(indices) > 1 else ""
            raise DataError(
                f"Class {target} has one picture only{copies}, so none is left to validate with.",
                hint=ALONE,
            )


def _shares(sizes: dict[int, int], count: int) -> dict[int, int]:
    """How many to take of each class: largest remainders, at least one, and at least one left."""
    total = sum(sizes.values())
    exact = {target: size * count / total for target, size in sizes.items()}
    shares = {target: int(value) for target, value in exact.items()}
    by_remainder = sorted(sizes, key=lambda t: (shares[t] - exact[t], t))
    for target in by_remainder[: count - sum(shares.values())]:
        shares[target] += 1
    return {target: min(max(share, 1), sizes[target] - 1) for target, share in shares.items()}


# --- several classes each ------------------------------------------------------------------------


def _by_labels(
    targets: Sequence[tuple[int, ...]],
    count: int,
    together: list[list[int]],
    generator: torch.Generator,
) -> set[int]:
    """Iterative stratification: the rarest class first, to the part that still wants most of it."""
    units = [index for index, members in enumerate(together) if members[0] == index]
    units = [units[i] for i in torch.randperm(len(units), generator=generator).tolist()]
    labels = {u: Counter(number for i in together[u] for number in targets[i]) for u in units}
    share = count / len(targets)
    wanted = [_wanted(labels.values(), len(targets), part) for part in (1 - share, share)]
    kept: set[int] = set()  # classes that training has
    chosen: set[int] = set()

    for unit, rarest in _rarest_first(labels):
        rest, held_out = ((side[rarest], side[None]) for side in wanted)  # equal: who wants more
        out = held_out > rest and kept.issuperset(labels[unit])
        if out:
            chosen.update(together[unit])
        else:
            kept.update(labels[unit])
        wanted[out].subtract(labels[unit])
        wanted[out][None] -= len(together[unit])
    if not chosen:
        raise DataError("Every picture is the only one of its class, so none is left.", hint=ALONE)
    return chosen


def _wanted(labels: Iterable[Counter[int]], size: int, share: float) -> Counter[int | None]:
    """How much a part wants of each class, and of pictures (None)."""
    wanted: Counter[Any] = Counter()
    for counts in labels:
        wanted.update(counts)
    wanted[None] = size
    return Counter({number: total * share for number, total in wanted.items()})


def _rarest_first(labels: dict[int, Counter[int]]) -> Iterator[tuple[int, int | None]]:
    """Each unit once, with the class that fewest of the units still to come have, or None."""
    units: dict[int, list[int]] = {}
    for unit, counts in labels.items():
        for number in counts:
            units.setdefault(number, []).append(unit)
    left = {number: len(members) for number, members in units.items()}
    done: set[int] = set()
    while left:
        rarest = min(left, key=lambda number: (left[number], number))
        for unit in units[rarest]:
            if unit not in done:
                yield unit, rarest
                done.add(unit)
                for number in labels[unit]:
                    if number in left:
                        left[number] -= 1
        del left[rarest]
    yield from ((unit, None) for unit, counts in labels.items() if not counts)


def per_class(targets: Sequence[int], count: int, *, seed: int) -> list[int]:
    """Indices of `count` pictures of each class, drawn by seed.

    Raises DataError where a class has fewer, or pictures have several labels each.

    >>> per_class([0, 1, 0, 1, 0], 1, seed=0)
    [3, 4]
    """
    _refuse_pictures(targets)
    if not _is_count(count, 0):
        raise DataError(f"{count!r} is no number of pictures: 0, 1, 2, …")
    if any(isinstance(target, tuple) for target in targets):
        raise DataError("These have several labels each, so there is no class to draw from.")
    smallest, size = min(Counter(targets).items(), key=lambda item: item[1], default=(None, count))
    if size < count:
        raise DataError(f"Class {smallest} has {size} pictures, fewer than {count}.")
    generator = torch.Generator().manual_seed(seed)
    chosen: list[int] = []
    for indices in indices_by_class(targets).values():
        order = torch.randperm(len(indices), generator=generator).tolist()
        chosen += [indices[i] for i in order[:count]]
    return sorted(chosen)


def _is_count(count: Any, least: int) -> bool:
    return isinstance(count, Integral) and not isinstance(count, bool) and int(count) >= least


def _refuse_pictures(targets: Any) -> None:
    if isinstance(targets, Pictures):
        raise DataError(
            f"{targets.name} is pictures, and this takes their classes.",
            hint="Pass the targets of the pictures: pictures.targets.",
        )
