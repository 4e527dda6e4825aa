"""Models by distribution and name, as manifests list them; a record is made when it is asked for.

A generated manifest lists more than a thousand models, and a command asks for a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from zoo_core.types import ModelInfo

Key = tuple[str, str]  # distribution, name


class Listed(NamedTuple):
    """One model of a manifest: what it is found by, and how its record is made."""

    name: str
    architecture: str
    default: bool
    record: Callable[[], ModelInfo]


@dataclass(frozen=True)
class _Place:
    listed: Listed
    plugin: str
    official: bool


class ListedModels(Mapping[Key, ModelInfo]):
    """All models of all manifests. `owners`: the distributions that have a name."""

    def __init__(self) -> None:
        self.owners: dict[str, list[str]] = {}
        self._places: dict[Key, _Place] = {}
        self._records: dict[Key, ModelInfo] = {}

    def add(
        self, listed: Listed, distribution: str, *, plugin: str = "", official: bool = False
    ) -> bool:
        """Add a model; False where the distribution has one of that name already."""
        key = (distribution, listed.name)
        if key in self._places:
            return False
        self._places[key] = _Place(listed, plugin, official)
        self.owners.setdefault(listed.name, []).append(distribution)
        return True

    def __getitem__(self, key: Key) -> ModelInfo:
        if key not in self._records:
            place, record = self._places[key], self._places[key].listed.record()
            self._records[key] = replace(
                record, plugin=place.plugin, distribution=key[0], official=place.official
            )
        return self._records[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def architecture(self, key: Key) -> str:
        return self._places[key].listed.architecture

    def defaults(self) -> list[Key]:
        """The models that the name of their architecture alone means."""
        return [key for key, place in self._places.items() if place.listed.default]

    def bare(self, key: Key) -> str:
        """The shortest name that means this model and no other."""
        distribution, name = key
        alone = len(self.owners[name]) == 1 or self._places[key].official
        return name if alone else f"{distribution}:{name}"
