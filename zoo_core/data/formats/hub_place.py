"""Where a data set is on the Hub, `hf://datasets/OWNER/NAME[@REVISION][:CONFIG]`; its commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.cache import is_offline
from zoo_core.errors import DataError
from zoo_core.humanize import readable_name

SIGN = "hf://datasets/OWNER/NAME"
COMMIT = re.compile(r"[0-9a-f]{40}")
_START = "hf://datasets/"
_NAME = r"[A-Za-z0-9][\w.-]*"
_PLACE = re.compile(
    rf"(?://datasets/)({_NAME}/{_NAME})(?:@([^\s@:?#\\]+))?(?::([^\s@:?#/\\][^@:?#/\\]*))?"
)


@dataclass(frozen=True)
class Place:
    """A data set on the Hub; `revision` and `config` where they are given."""

    repository: str
    revision: str | None
    config: str | None

    @property
    def name(self) -> str:
        return f"{_START}{self.repository}"


def place_of(location: str) -> Place:
    """The place that stands behind `hf:`. Raises DataError.

    >>> place_of("//datasets/me/birds@v1:small")
    Place(repository='me/birds', revision='v1', config='small')
    """
    match = _PLACE.fullmatch(location)
    if match is None or ".." in location:
        near = ""
        if re.fullmatch(rf"/*{_NAME}/{_NAME}", location):
            near = f' Did you mean "{_START}{location.lstrip("/")}"?'
        raise DataError(
            f'"hf:{readable_name(location)}" names no data set on the Hub.{near}',
            hint=f"Write {SIGN}[@REVISION][:CONFIG][#SPLIT].",
        )
    return Place(*match.groups())


def commit_of(place: Place) -> str:
    """The commit of its revision, else of the newest one; offline, as it was last known.

    Raises DataError, and NotCached where nobody knows it offline.
    """
    if place.revision and COMMIT.fullmatch(place.revision):
        return place.revision
    from zoo_core.hub.client import api, persistently
    from zoo_core.hub.failures import explained

    revision = place.revision or "main"
    with explained(f"datasets/{place.repository}", f"revision {revision}", DataError, revision):
        resolved = persistently(
            lambda: api().resolve_revision(
                place.repository,
                repo_type="dataset",
                revision=revision,
                local_files_only=is_offline(),
            )
        )
    return resolved.resolved


def repository_of(data: Any) -> str | None:
    """OWNER/NAME of a spec of the Hub; None for all other data.

    >>> repository_of("hf://datasets/me/birds@v1:small#test"), repository_of("digits")
    ('me/birds', None)
    """
    cut = _cut(data)
    return cut[0].removeprefix(_START) if cut is not None else None


def pinned(data: Any, before: Any = None) -> Any:
    """A spec of the Hub with its revision as a commit; other data as it is.

    `before`: the spec that a run has recorded, whose commit counts where this names no revision.
    Raises DataError.

    >>> pinned("hf://datasets/me/birds#test", f"hf://datasets/me/birds@{'a' * 40}#test")[:30]
    'hf://datasets/me/birds@aaaaaaa'
    """
    cut = _cut(data)
    if cut is None:
        return data
    name, revision, rest = cut
    known = _cut(before)
    if revision is None and known is not None and (name, rest) == (known[0], known[2]):
        return before
    commit = commit_of(Place(name.removeprefix(_START), revision, None))
    return f"{name}@{commit}{rest}"


def streaming(data: Any) -> Any:
    """A spec of the Hub that is read as a stream. Raises DataError for other data.

    >>> streaming("hf://datasets/me/birds?label=species#train")
    'hf://datasets/me/birds?label=species&stream=true#train'
    """
    if _cut(data) is None:
        raise DataError(f"stream=True is for data on the Hub: {SIGN}.", hint="Leave it out.")
    text, mark, part = str(data).partition("#")
    if "stream=" in text:
        return data
    return f"{text}{'&' if '?' in text else '?'}stream=true{mark}{part}"


def _cut(data: Any) -> tuple[str, str | None, str] | None:
    """Name, revision and the rest of a spec of the Hub."""
    text = str(data) if isinstance(data, str | Path) else ""
    match = re.fullmatch(rf"({_START}{_NAME}/{_NAME})(?:@([^\s@:?#\\]+))?((?:[:?#].*)?)", text)
    return (match[1], match[2], match[3]) if match is not None else None
