"""Models by distribution and name, as manifests list them; a record is made when it is asked for.

A generated manifest lists more than a thousand models, and a command asks for a few.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoo_core.plugins.manifest import Manifest
from zoo_core.types import ModelInfo

Key = tuple[str, str]  # distribution, name


@dataclass(frozen=True)
class _Origin:
    manifest: Manifest
    plugin: str
    official: bool


class ListedModels(Mapping[Key, ModelInfo]):
    """All models of all manifests. `owners`: the distributions that have a name."""

    def __init__(self) -> None:
        self.owners: dict[str, list[str]] = {}
        self._origins: dict[Key, _Origin] = {}
        self._records: dict[Key, ModelInfo] = {}

    def add(
        self, manifest: Manifest, distribution: str, *, plugin: str = "", official: bool = False
    ) -> list[str]:
        """Add the models of a manifest; the names that the distribution has already stay as they
        are, and are returned."""
        origin = _Origin(manifest, plugin, official)
        taken = {name: () for name in manifest.models if (distribution, name) in self._origins}
        for name in manifest.models:
            if name not in taken:
                self._origins[distribution, name] = origin
                self.owners.setdefault(name, []).append(distribution)
        return list(taken)

    def __getitem__(self, key: Key) -> ModelInfo:
        if key not in self._records:
            origin = self._origins[key]
            self._records[key] = origin.manifest.record(
                key[1], plugin=origin.plugin, distribution=key[0], official=origin.official
            )
        return self._records[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)

    def architecture(self, key: Key) -> str:
        return self._origins[key].manifest.models[key[1]].architecture

    def count_weights(self, key: Key) -> int:
        return len(self._origins[key].manifest.models[key[1]].weights)

    def plugin(self, key: Key) -> str:
        """The plugin whose manifest has a model; empty for an official one."""
        return self._origins[key].plugin

    def one_of_each_kind(self) -> list[Key]:
        """The first model of each architecture of each distribution."""
        kinds: dict[Key, Key] = {}
        for key in self:
            kinds.setdefault((key[0], self.architecture(key)), key)
        return list(kinds.values())

    def defaults(self) -> list[Key]:
        """The models that the name of their architecture alone means."""
        origins = self._origins.items()
        return [key for key, origin in origins if origin.manifest.models[key[1]].default]

    def meant(self, base: str, distribution: str = "") -> list[Key]:
        """The models of that name, else the default ones of the family of that name.

        `distribution`: the only one to look in; empty: all.
        """
        named = [(owner, base) for owner in self.owners.get(base, ())]
        family = [key for key in self.defaults() if self.architecture(key) == base]
        named, family = (
            [key for key in keys if distribution in ("", key[0])] for keys in (named, family)
        )
        return named or family

    def matching(self, pattern: str | None) -> list[Key]:
        """`pattern`: a name with shell wildcards, an architecture or a prefix; None: all without.

        Names with a prefix (`timm/…`) match only a pattern that has one, or is it (`timm`).
        """
        return [key for key in self if _matches(self.bare(key), self.architecture(key), pattern)]

    def prefixes(self) -> dict[str, int]:
        """What stands before the slash in names, and of how many models."""
        return dict(Counter(name.rpartition("/")[0] for _, name in self if "/" in name))

    def bare(self, key: Key) -> str:
        """The shortest name that means this model and no other."""
        distribution, name = key
        alone = len(self.owners[name]) == 1 or self._origins[key].official
        return name if alone else f"{distribution}:{name}"


def _matches(name: str, architecture: str, pattern: str | None) -> bool:
    if "/" in name and "/" not in (pattern or ""):
        return pattern is not None and name.startswith(f"{pattern}/")
    if pattern and pattern.endswith("/"):
        return name.startswith(pattern)
    return pattern is None or pattern == architecture or fnmatch.fnmatchcase(name, pattern)
