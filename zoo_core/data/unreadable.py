"""Pictures that cannot be read: found before anything begins, named, counted and left out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError
from zoo_core.progress import Bar

# How many pictures are decoded at once, how many wait for it, and how many faults are shown.
THREADS, CHUNK, SHOWN = 8, 1024, 3


def readable(pictures: Pictures, *, progress: bool = True) -> Pictures:
    """The pictures that can be decoded; `skipped` of the result names the others.

    Every picture is decoded once: in threads, but one by one for a dataset that zoo did not open.
    Raises DataError where none can be, or none of a class that had some.
    """
    faults = {}
    with Bar("checking pictures", total=len(pictures), shown=progress) as bar:
        for index, fault in enumerate(_faults(pictures)):
            bar.step()
            if fault:
                faults[index] = fault
        skipped = [*pictures.skipped, *faults.values()]
        for line in _lines(skipped, len(pictures) + len(pictures.skipped)):
            bar.line(line)
    if not faults:
        return pictures
    kept = pictures.subset([i for i in range(len(pictures)) if i not in faults])
    kept.skipped = skipped
    _check_classes(pictures, kept)
    return kept


def _faults(pictures: Pictures) -> Iterator[str]:
    """Why each picture cannot be read, or nothing."""

    def fault(index: int) -> str:
        try:
            pictures.read(index)
        except DataError as error:
            return error.message
        except Exception as error:  # somebody's Dataset may raise anything
            what = f"Item {index} of {pictures.name}"
            return f"{what} cannot be read: {type(error).__name__}: {error}."
        return ""

    with ThreadPoolExecutor(THREADS if pictures.fixed else 1) as pool:
        for start in range(0, len(pictures), CHUNK):
            yield from pool.map(fault, range(start, min(start + CHUNK, len(pictures))))


def _lines(faults: list[str], size: int) -> Iterator[str]:
    if not faults:
        return
    yield f"Skipped {len(faults)} of {size} pictures that cannot be read:"
    yield from (f"  {fault}" for fault in faults[:SHOWN])
    if len(faults) > SHOWN:
        yield f"  and {len(faults) - SHOWN} more"


def _check_classes(pictures: Pictures, kept: Pictures) -> None:
    first = f"The first: {kept.skipped[0]}"
    if len(kept) == 0:
        raise DataError(f"None of the {len(pictures)} pictures can be read.", hint=first)
    before, after = pictures.class_counts(), kept.class_counts() + [0] * pictures.num_classes
    lost = [number for number, count in enumerate(before) if count and not after[number]]
    if lost:
        name = f'"{pictures.classes[lost[0]]}"' if pictures.classes else str(lost[0])
        raise DataError(f"No picture of class {name} can be read.", hint=first)
