"""`OWNER/REPOSITORY[@REVISION][/FILE]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo_core.errors import SourceError

_REFERENCE = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)"
    r"(@(?P<revision>refs/\w+/[\w.-]+|[^/@]+))?"
    r"(/(?P<file>[^/].*))?"
)


@dataclass(frozen=True)
class Place:
    """A repository on the Hub, and where they are given, a revision of it and a file in it."""

    repository: str
    revision: str | None
    file: str | None

    def at(self, commit: str) -> str:
        """The full reference of this place at a commit."""
        return f"hf://{self.repository}@{commit}" + (f"/{self.file}" if self.file else "")


def parse(reference: str) -> Place:
    """Raises SourceError for what is no reference.

    >>> parse("timm/resnet18.a1_in1k@v1/model.safetensors")
    Place(repository='timm/resnet18.a1_in1k', revision='v1', file='model.safetensors')
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or ".." in reference.split("/"):
        raise SourceError(
            f'"hf://{reference}" names no repository.',
            hint="Write hf://OWNER/REPOSITORY[@REVISION].",
        )
    return Place(**match.groupdict())
