"""Which models somebody may have meant by a name that none has; those with a prefix, too.

A typing error in a name of zoo's own, the begin of one of timm's many (`vit_base`), or a typing
error in one of these. No record of a model is made for it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from zoo_core.errors import closest
from zoo_core.humanize import natural
from zoo_core.plugins.model_index import Key, ListedModels

MOST = 4
TYPING_ERROR = 0.8  # from which likeness on a name is another with a typing error in it
FAR = 0.75  # the same for names with a prefix, of which there are so many that some is like any
CLEARLY = 0.1  # by how much one of these is liker than the best without, to be named before it


def neighbours(wanted: str, own: set[str], listed: ListedModels) -> list[str]:
    """Up to four names, the likeliest first. `own`: the names to compare with as they are.

    Those of `listed` that have a prefix are compared without it, where `wanted` has none.
    """
    near = closest(wanted, own)
    if not wanted:
        return near
    there = _with_prefix(wanted, listed)
    if wanted in there:
        return [listed.bare(there[wanted])]
    others = {rest: key for rest, key in there.items() if "/" in wanted or rest not in own}
    begin = [rest for rest in others if _plain(rest).startswith(_plain(wanted))]
    words = [rest for rest in begin if rest[len(wanted)] in "_-."]
    typing_error = "/" not in wanted and bool(near) and _likeness(wanted, near[0]) >= TYPING_ERROR
    if words:
        return [*near[:typing_error], *_named(words, others, listed)][:MOST]
    if begin and not typing_error:
        return _named(begin, others, listed)[:MOST]
    cutoff = min(_likeness(wanted, near[0]) + CLEARLY, 1.0) if typing_error else FAR
    far = difflib.get_close_matches(_plain(wanted), map(_plain, others), n=3, cutoff=cutoff)
    plain = {_plain(rest): rest for rest in others}
    return [*(listed.bare(others[plain[name]]) for name in far), *near][:3]


def _with_prefix(wanted: str, listed: ListedModels) -> dict[str, Key]:
    """Models whose names have a prefix, by what a name is compared with."""
    names = {bare: key for key in listed if "/" in (bare := listed.bare(key))}
    if "/" in wanted:
        return {name: key for name, key in names.items() if name.startswith(wanted)}
    return {name.partition("/")[2]: key for name, key in names.items()}


def begin_of_many(wanted: str, listed: ListedModels) -> str:
    """The pattern of all names with a prefix that begin with a name; empty where none does."""
    for key in listed:
        prefix, slash, rest = listed.bare(key).partition("/")
        if slash and wanted and rest.startswith(wanted):
            return f"{prefix}/{wanted}*"
    return ""


def _named(rests: Iterable[str], keys: dict[str, Key], listed: ListedModels) -> list[str]:
    """Their names: first those that have most weights, for these are in most use."""
    ordered = sorted(rests, key=lambda rest: (-listed.count_weights(keys[rest]), natural(rest)))
    return [listed.bare(keys[rest]) for rest in ordered]


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _plain(name), _plain(other)).ratio()


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
