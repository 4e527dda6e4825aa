"""Names in a checkpoint -> names of a model: found from names and shapes, and all of it reported.

In this order: what the caller says, wrappers, the prefix that most of the model is under, the
architecture's `adapt`, and, only where asked for, order and shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo_core.errors import WeightsError, closest
from zoo_core.humanize import one_line
from zoo_core.model.convert.matching import common_prefix, match_by_order
from zoo_core.model.convert.misfit import check_complete
from zoo_core.model.convert.names import Names, starts, under
from zoo_core.model.convert.outline import Outline
from zoo_core.weights.tensors import WRAPPERS

AVERAGES = "n_averaged"  # how many torch's AveragedModel has averaged


def named(
    tensors: dict[str, Tensor],
    outline: Outline,
    file: str,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    by_order: bool = False,
) -> Names:
    """The tensors under the model's names, all but counters that the file lacks.

    Raises WeightsError for names that stay unknown or missing, two tensors for one name, and a pair
    or a prefix to drop that nothing has.
    """
    names = Names(dict(tensors), outline, file)
    pairs = [(old.strip("."), new.strip(".")) for old, new in pairs]
    pairs, drop = _as_told(names, pairs, [prefix.strip(".") for prefix in drop])
    names.drop([name for name in names.unknown if name == AVERAGES], "a counter of AveragedModel")
    for wrapper in WRAPPERS:
        _unwrap(names, wrapper)
    prefix = common_prefix(names)
    names.rename(f"{prefix} removed", lambda name: name.removeprefix(prefix))
    _check_used(names, *_as_told(names, pairs, drop))
    _adapt(names)
    if by_order:
        match_by_order(names)
    check_complete(names, by_order)
    return names


def _as_told(
    names: Names, pairs: Sequence[tuple[str, str]], drop: Sequence[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Do what the caller says with the present names; what no name is under is given back."""
    unused = []
    for prefix in drop:
        matches = [name for name in names.tensors if under(name, prefix)]
        names.drop(matches, f"--drop {prefix}")
        if not matches:
            unused.append(prefix)
    return [pair for pair in pairs if not _renamed(names, *pair)], unused


def _renamed(names: Names, old: str, new: str) -> int:
    def moved(name: str) -> str:
        rest = name[len(old) :].lstrip(".")
        return ".".join(part for part in (new, rest) if part) if under(name, old) else name

    return names.rename(f"{old}={new}", moved)


def _check_used(names: Names, pairs: list[tuple[str, str]], drop: list[str]) -> None:
    for prefix in [old for old, _ in pairs] + drop:
        there = {name[: place - 1] for name in names.origin.values() for place in starts(name)[1:]}
        near = closest(prefix, there)
        raise WeightsError(
            f'{names.file}: no tensor is under "{prefix}".',
            hint=f"Closest: {', '.join(near)}." if near else "",
        )


def _unwrap(names: Names, wrapper: str) -> None:
    """Take a wrapper's name out, wherever it stands, unless the model itself has such a part."""

    def unwrapped(name: str) -> str:
        return ".".join(part for part in name.split(".") if part != wrapper) or name

    if not any(wrapper in name.split(".") for name in names.outline.own):
        names.rename(f"{wrapper}. removed", unwrapped)


def _adapt(names: Names) -> None:
    """What the architecture itself does to checkpoints of another layout."""
    architecture = names.outline.architecture
    if architecture.adapt is None:
        return
    what = f"adapt of {architecture.name}"
    try:
        adapted = architecture.adapt(dict(names.tensors), names.outline.module)
    except Exception as error:  # a plugin's code, and tensors that it may not expect
        text = f"{type(error).__name__}: {one_line(error)}"
        raise WeightsError(f"{names.file}: {what} fails on it: {text}.") from error
    now = {id(tensor): name for name, tensor in adapted.items()}
    gone = [n for n, tensor in names.tensors.items() if id(tensor) not in now and n not in adapted]
    present = {id(tensor) for tensor in names.tensors.values()}
    makes = any(id(tensor) not in present for tensor in adapted.values())
    why = "used up or not needed" if makes else "the model is built without them"
    names.drop(gone, f"{why} ({what})")
    moves = {name: now.get(id(tensor), name) for name, tensor in names.tensors.items()}
    names.rename(what, moves.__getitem__)
    names.replace(adapted, what)
