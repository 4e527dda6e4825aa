"""The error for a checkpoint whose names are not those of the model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo_core.errors import WeightsError, closest
from zoo_core.model.convert.names import Names
from zoo_core.weights.tensors import COUNTER


def check_complete(names: Names, by_order: bool) -> None:
    """Raise WeightsError where names are unknown or missing, with what each may be."""
    unknown = names.unknown
    missing = [name for name in names.missing if not name.endswith(COUNTER)]
    if not unknown and not missing:
        return
    near = {name: _nearest(name, names, missing) for name in unknown[:3]}
    parts = []
    if unknown:
        listed = [_beside(shaped(name, names.tensors), other) for name, other in near.items()]
        parts.append(f"{len(unknown)} of its names are unknown: {_some(listed, len(unknown))}")
    if missing:
        lacks = [shaped(name, names.outline.own) for name in missing[:3]]
        parts.append(f"it lacks {len(missing)} tensors: {_some(lacks, len(missing))}")
    raise WeightsError(
        f"{names.file} does not fit {names.outline.info.name}: {'; '.join(parts)}.",
        hint=_hint(names, near, by_order),
    )


def _hint(names: Names, near: Mapping[str, str], by_order: bool) -> str:
    """What to do next, the likeliest first: `near` has what the first unknown names may be."""
    if not near:
        return "Is it of another model, or only a part of one?"
    pairs = None if by_order else paired_by_order(names)
    if pairs is not None:
        old, new = next(iter(pairs.items()))
        return (
            f"Add --by-order: all {len(pairs)} unknown names have the shapes of the missing ones, "
            f"one after the other, as {old} -> {new}. Or rename with --map {_prefixes(old, new)}."
        )
    old = next(iter(near))
    return _advice(old, near[old], by_order)


def paired_by_order(names: Names) -> dict[str, str] | None:
    """The n-th unknown name is the n-th missing one; None where not all of their shapes agree."""
    unknown, missing = in_order(names)
    pairs = dict(zip(unknown, missing, strict=False))
    fit = all(names.outline.fits(new, names.tensors[old]) for old, new in pairs.items())
    return pairs if fit and len(unknown) == len(missing) else None


def in_order(names: Names) -> tuple[list[str], list[str]]:
    """The unknown names, and the missing ones that would be theirs."""
    unknown, missing = names.unknown, names.missing
    if len(unknown) < len(missing):  # the file may be from before there were counters
        missing = [name for name in missing if not name.endswith(COUNTER)]
    return unknown, missing


def shaped(name: str, tensors: Mapping[str, Tensor]) -> str:
    """A name with its shape: `fc.weight [10, 512]`."""
    return f"{name} {list(tensors[name].shape)}"


def _nearest(name: str, names: Names, missing: list[str]) -> str:
    """What an unknown name most likely is: a missing one of its shape, and of its last part."""
    last = name.rpartition(".")[2]
    fit = [other for other in missing if names.outline.fits(other, names.tensors[name])]
    fit = [other for other in fit if other.rpartition(".")[2] == last] or fit
    candidates = closest(name, fit or missing or names.outline.own, count=1) or fit[:1]
    return candidates[0] if candidates else ""


def _advice(old: str, new: str, by_order: bool) -> str:
    """How the first unknown name could be put right."""
    pair = _prefixes(old, new)
    advice = f"Rename with --map {pair}, or leave out with --drop {pair.partition('=')[0]}"
    return f"{advice}." if by_order else f"{advice}; --by-order goes by order and shape."


def _prefixes(old: str, new: str) -> str:
    """The pair for `--map`, without the last part where both have the same."""
    last = old.rpartition(".")[2]
    if new and new.rpartition(".")[2] == last:
        old, new = old.removesuffix(f".{last}"), new.removesuffix(f".{last}")
    return f"{old}={new or 'NEW'}"


def _beside(text: str, other: str) -> str:
    return f"{text} (closest: {other})" if other else text


def _some(listed: list[str], count: int) -> str:
    return ", ".join(listed) + (f" and {count - 3} more" if count > 3 else "")
