"""What the names and shapes of a checkpoint say about where its model lies."""

from __future__ import annotations

from zoo_core.errors import WeightsError
from zoo_core.model.convert.misfit import in_order, paired_by_order, shaped
from zoo_core.model.convert.names import Names, starts, under


def common_prefix(names: Names) -> str:
    """The prefix that at least half of the model is under; else what all names of the file share.

    Raises WeightsError where the model is there more than once.
    """
    scores = _scores(names)
    best = max(scores.values(), default=(0, 0))
    if best[1] * 2 < len(names.outline.own):
        return _shared(names)
    top = [prefix for prefix, score in scores.items() if score == best]
    if len(top) > 1 and "" not in top:
        raise WeightsError(
            f"{names.file} holds {names.outline.info.name} more than once: "
            f"under {' and under '.join(prefix.rstrip('.') for prefix in top)}.",
            hint=f"Say what to leave out, such as --drop {top[-1].rstrip('.')}.",
        )
    return "" if "" in top else top[0]


def _scores(names: Names) -> dict[str, tuple[int, int]]:
    """For each prefix, how many tensors under it fit the model, and how many the model knows."""
    scores: dict[str, tuple[int, int]] = {}
    for name, tensor in names.tensors.items():
        for place in starts(name):
            prefix, rest = name[:place], name[place:]
            if rest in names.outline.own:
                fit, known = scores.get(prefix, (0, 0))
                scores[prefix] = (fit + names.outline.fits(rest, tensor), known + 1)
    return scores


def _shared(names: Names) -> str:
    """The first parts that all names of the file share, and none of the model has."""
    prefix = ""
    while names.tensors:
        rests = [name.removeprefix(prefix) for name in names.tensors]
        first = rests[0].partition(".")[0]
        own = any(under(name, first) for name in names.outline.own)
        if own or not all(rest.startswith(f"{first}.") for rest in rests):
            break
        prefix += f"{first}."
    return prefix


def match_by_order(names: Names) -> None:
    """The n-th unknown name is the n-th missing one, where all of their shapes agree.

    Raises WeightsError, with the first that do not.
    """
    pairs = paired_by_order(names)
    if pairs is None:
        raise _unpaired(names)
    names.rename("by order and shape", lambda name: pairs.get(name, name))


def _unpaired(names: Names) -> WeightsError:
    unknown, missing = in_order(names)
    pairs = zip(unknown, missing, strict=False)
    wrong = [(old, new) for old, new in pairs if not names.outline.fits(new, names.tensors[old])]
    first = ""
    if wrong:
        old, new = (shaped(wrong[0][0], names.tensors), shaped(wrong[0][1], names.outline.own))
        first = f" First {old} would be {new}."
    return WeightsError(
        f"{names.file}: order and shapes do not say what is what. {len(unknown)} names are "
        f"left in it, {len(missing)} in {names.outline.info.name}.{first}",
        hint="Rename with --map OLD=NEW, or leave out what does not belong with --drop PREFIX.",
    )
