"""What the names and shapes of a checkpoint say about where its model lies."""

from __future__ import annotations

from zoo_core.errors import WeightsError
from zoo_core.model.convert.misfit import shaped
from zoo_core.model.convert.names import Names, starts, under
from zoo_core.weights.tensors import COUNTER


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
    unknown, missing = names.unknown, names.missing
    if len(unknown) < len(missing):  # the file may be from before there were counters
        missing = [name for name in missing if not name.endswith(COUNTER)]
    moves = dict(zip(unknown, missing, strict=False))
    wrong = [old for old, new in moves.items() if not names.outline.fits(new, names.tensors[old])]
    if len(unknown) != len(missing) or wrong:
        first = (
            f" First {shaped(wrong[0], names.tensors)} would be "
            f"{shaped(moves[wrong[0]], names.outline.own)}."
            if wrong
            else ""
        )
        raise WeightsError(
            f"{names.file}: order and shapes do not say what is what. {len(unknown)} names are "
            f"left in it, {len(missing)} in {names.outline.info.name}.{first}",
            hint="Rename with --map OLD=NEW, or leave out what does not belong with --drop PREFIX.",
        )
    names.rename("by order and shape", lambda name: moves.get(name, name))
