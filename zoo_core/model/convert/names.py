"""Tensors whose names change step by step, with a record of each step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from zoo_core.errors import WeightsError
from zoo_core.model.convert.outline import Outline


class Rule(NamedTuple):
    """One thing that was done to names: to how many tensors, and one name before and after."""

    what: str
    tensors: int
    before: str
    after: str


@dataclass
class Names:
    """Tensors by their present names. `origin`: the name that each has in the file.

    `dropped`: names in the file, and why each was left out. `file`: the checkpoint's.
    """

    tensors: dict[str, Tensor]
    outline: Outline
    file: str
    origin: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = {name: name for name in self.tensors}

    def rename(self, what: str, new_name: Callable[[str], str]) -> int:
        """Rename, and say how many were. Raises WeightsError where two would have one name."""
        pairs = [(name, new_name(name)) for name in self.tensors]
        origin: dict[str, str] = {}
        for old, new in pairs:
            if new in origin:
                raise WeightsError(
                    f"{self.file}: {origin[new]} and {self.origin[old]} would both be {new}.",
                    hint="Leave one of them out: --drop PREFIX.",
                )
            origin[new] = self.origin[old]
        changed = [pair for pair in pairs if pair[0] != pair[1]]
        if changed:
            self.tensors = {new: self.tensors[old] for old, new in pairs}
            self.origin = origin
            self.rules.append(Rule(what, len(changed), *changed[0]))
        return len(changed)

    def drop(self, names: Iterable[str], why: str) -> None:
        for name in list(names):
            self.dropped[self.origin.pop(name)] = why
            del self.tensors[name]

    def replace(self, tensors: dict[str, Tensor], what: str) -> None:
        """Take other tensors instead; those that are not the present ones are new."""
        new = [name for name, tensor in tensors.items() if self.tensors.get(name) is not tensor]
        if new:
            self.rules.append(Rule(f"{what} made", len(new), "its tensors", new[0]))
        self.tensors = tensors
        self.origin = {name: self.origin.get(name, name) for name in tensors}

    @property
    def unknown(self) -> list[str]:
        """Names that the model does not have."""
        return [name for name in self.tensors if name not in self.outline.own]

    @property
    def missing(self) -> list[str]:
        """Names of the model that are not here."""
        return [name for name in self.outline.own if name not in self.tensors]


def under(name: str, prefix: str) -> bool:
    """Whether a dotted name lies under a prefix, or is it.

    >>> under("layer1.0.conv1", "layer1"), under("layer10.conv1", "layer1")
    (True, False)
    """
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def starts(name: str) -> list[int]:
    """Where the parts of a dotted name begin.

    >>> starts("fc.weight")
    [0, 3]
    """
    return [0, *(place + 1 for place, letter in enumerate(name) if letter == ".")]
