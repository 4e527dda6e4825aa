"""`OWNER/REPOSITORY[@REVISION][/FILE]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from zoo_core.errors import SourceError
from zoo_core.humanize import readable_name
from zoo_core.weights.sources import names_file

COMMIT = re.compile(r"[0-9a-f]{40}")

_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?:@(?P<revision>[^/].*)|/(?P<file>[^/].*))?")
# what git allows in the name of a branch or tag, as far as it matters to a path or an address
_REVISION = re.compile(r"(?!/|-|.*(\.\.|//|/$))[^\x00-\x20\x7f~^:?*\[\\@]+")


@dataclass(frozen=True)
class Place:
    """A repository on the Hub, and where they are given, a revision of it and a file in it."""

    repository: str
    revision: str | None
    file: str | None

    def at(self, commit: str) -> str:
        """The full reference of this place at a commit."""
        return f"hf://{self.repository}@{commit}" + (f"/{self.file}" if self.file else "")


def readings(reference: str) -> list[Place]:
    """What a reference can mean, likeliest first: a branch may have slashes in its name.

    Where no file of weights is named, all of it is the revision. `%2F` always belongs to one.
    Raises SourceError for what is no reference.

    >>> readings("timm/resnet18.a1_in1k@v1/model.safetensors")
    [Place(repository='timm/resnet18.a1_in1k', revision='v1', file='model.safetensors')]
    >>> [place.revision for place in readings("me/x@exp/run-1")]
    ['exp/run-1']
    >>> [place.revision for place in readings("me/x@exp/run-1/model.safetensors")]
    ['exp', 'exp/run-1']
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or ".." in reference.split("/") or "\\" in reference:
        raise SourceError(
            f'"hf://{readable_name(reference)}" names no repository.',
            hint="Write hf://OWNER/REPOSITORY[@REVISION].",
        )
    repository, named, file = match.groups()
    if named is None:
        return [Place(repository, None, file)]
    return [Place(repository, _revision(r, reference), f) for r, f in _splits(named)]


def _splits(named: str) -> list[tuple[str, str | None]]:
    """The ways to read what stands behind the @ as a revision and a file."""
    parts = named.split("/")
    if len(parts) > 1 and COMMIT.fullmatch(parts[0]):
        return [(parts[0], "/".join(parts[1:]))]
    if not names_file(named) or len(parts) == 1:
        return [(named, None)]
    shortest = 3 if parts[0] == "refs" else 1  # refs/pr/7
    return [
        ("/".join(parts[:cut]), "/".join(parts[cut:])) for cut in range(shortest, len(parts))
    ] or [(named, None)]


def _revision(quoted: str, reference: str) -> str:
    revision = unquote(quoted)
    if not _REVISION.fullmatch(revision):
        raise SourceError(
            f'"hf://{readable_name(reference)}" names no revision: '
            f'"{readable_name(revision)}" cannot be a branch, a tag or a commit.',
            hint="Leave @REVISION out for the newest.",
        )
    return revision
