"""Somebody's DataLoader: its sampler says which items of its Dataset are in the set.

zoo draws its own batches, so the sampler is asked twice what it draws, with other random numbers.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, default_collate, default_convert

from zoo_core.data.generators import following, held_generators
from zoo_core.data.samples import seeded
from zoo_core.errors import DataError

GIVE_THE_DATASET = "Give the Dataset in place of the DataLoader."


def drawn(loader: DataLoader[Any]) -> list[int] | None:
    """The indices that a DataLoader draws in every pass, in order; None for all of them.

    Raises DataError where it draws items several times or others in each pass, and for what zoo
    would not do: a collate_fn, parts of a set for several processes.
    """
    _refuse_other_batches(loader)
    sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    for each in (sampler, getattr(sampler, "sampler", None)):
        _refuse_kind(each)
    size = len(loader.dataset)  # type: ignore[arg-type]
    first, second = (_pass(sampler, size, seed, loader.batch_sampler is None) for seed in (1, 2))
    if not first:
        why = " with drop_last" if getattr(sampler, "drop_last", False) else ""
        raise DataError(f"The DataLoader{why} draws nothing.", hint=GIVE_THE_DATASET)
    for indices in (first, second):
        _refuse_repeats(indices, size)
    if set(first) != set(second):
        raise _others_each_time(sampler, size)
    chosen = first if first == second else sorted(first)
    return None if chosen == list(range(size)) else chosen


def _refuse_other_batches(loader: DataLoader[Any]) -> None:
    if type(loader).__iter__ is not DataLoader.__iter__:
        name = type(loader).__name__
        raise DataError(f"A {name} makes batches of its own.", hint=GIVE_THE_DATASET)
    if loader.collate_fn not in (default_collate, default_convert):
        raise DataError(
            "The DataLoader has a collate_fn, and zoo puts its own batches together.",
            hint="Do in the Dataset's __getitem__ what it does, and leave it out.",
        )


def _refuse_kind(sampler: Any) -> None:
    """Refuse a sampler for several processes, and what can be gone through only once."""
    if hasattr(sampler, "num_replicas"):
        raise DataError(
            f"The DataLoader's {type(sampler).__name__} gives each process a part.",
            hint="Leave it out: zoo shares each batch among its processes itself.",
        )
    if isinstance(sampler, Iterator):
        raise DataError(
            f"The DataLoader's sampler, a {type(sampler).__name__}, can be gone through only once.",
            hint="Give a list of indices, or torch's SubsetRandomSampler of one.",
        )


def _pass(sampler: Iterable[Any], size: int, seed: int, single: bool) -> list[int]:
    """The indices of one pass, or one more than there are items. `single`: they come one by one."""
    with seeded(seed, numpy=True), following(held_generators(sampler), seed):
        batches = ((each,) for each in sampler) if single else iter(sampler)
        flat = itertools.chain.from_iterable(itertools.islice(batches, size + 1))
        return [_index(each, size) for each in itertools.islice(flat, size + 1)]


def _index(each: Any, size: int) -> int:
    try:
        index = operator.index(each)
    except TypeError as error:
        raise DataError(
            f"The DataLoader's sampler gives a {type(each).__name__}, not the index of an item.",
            hint=GIVE_THE_DATASET,
        ) from error
    if not -size <= index < size:
        raise DataError(f"The DataLoader's sampler gives index {index} of {size} items.")
    return index % size


def _refuse_repeats(indices: list[int], size: int) -> None:
    if len(set(indices)) < len(indices):
        raise DataError(
            f"The DataLoader draws items of its {size} more than once.",
            hint='For classes of unequal size: give the Dataset, and balance="sampler" '
            'or "weights".',
        )


def _others_each_time(sampler: Any, size: int) -> DataError:
    ends = isinstance(sampler, BatchSampler) and sampler.drop_last
    whole = ends and set(_pass(sampler.sampler, size, 1, True)) == set(
        _pass(sampler.sampler, size, 2, True)
    )
    if whole:
        return DataError(
            "The DataLoader shuffles and drops its last batch, so it leaves out others each time.",
            hint="Leave drop_last out: zoo uses the last batch too.",
        )
    return DataError(
        f"The DataLoader draws other items of its {size} in each pass.",
        hint="Give the items as a Subset, or a sampler that draws the same ones each time.",
    )
