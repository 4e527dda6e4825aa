"""What a conversion did, as lines for a person, and as a table for a manifest."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.model.convert.names import Rule
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import InputSpec, ModelInfo
from zoo_core.weights.labels import label_names


@dataclass(frozen=True)
class Converted:
    """A file that convert() wrote, and all that it did to the checkpoint.

    `under`: where in the checkpoint the tensors were. `rules`: what was done to names. `dropped`:
    tensors, by their names in the checkpoint, and why. `left_out`: its other entries. `filled`:
    counters that it lacks. `casts`: tensors that changed their type. `types`: how many tensors of
    each floating type there are.
    """

    path: Path
    sha256: str
    size: int
    source: Path
    under: str
    model: ModelInfo
    weights: str
    license: str | None
    num_classes: int
    input: InputSpec
    tensors: int
    rules: tuple[Rule, ...]
    dropped: Mapping[str, str]
    left_out: Mapping[str, str]
    filled: tuple[str, ...]
    casts: Mapping[str, str]
    types: Mapping[str, int]

    @property
    def manifest(self) -> str:
        """The table `[models.NAME.weights.TAG]`, in TOML."""
        return "\n".join(_table(self)) + "\n"

    @property
    def next_command(self) -> str:
        """What to type in a shell to use the file, all but the pictures."""
        name = shlex.quote(catalogue().bare(self.model))
        labels = f" --labels {self._labels}" if self._labels else ""
        return f"zoo predict {name} --weights {shlex.quote(str(self._near))}{labels} PICTURE..."

    @property
    def _labels(self) -> str | None:
        """The label set that the model's other weights of as many classes have."""
        kinds = {w.labels for w in self.model.weights.values() if isinstance(w.labels, str)}
        fitting = [name for name in kinds if label_names(name, self.num_classes)]
        return shlex.quote(fitting[0]) if len(fitting) == 1 else None

    @property
    def _near(self) -> Path:
        """The path as one would type it here."""
        here = Path.cwd()
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path

    def lines(self) -> Iterator[str]:
        """The report, for a person."""
        under = f" under {self.under}" if self.under else ""
        taken = self.tensors - len(self.filled) + len(self.dropped)
        yield f"{self.source}: {taken} tensors{under}"
        for rule in self.rules:
            yield f"  {rule.what}: {_count(rule.tensors)} (such as {rule.before} -> {rule.after})"
        for why, names in _by_value(self.dropped).items():
            yield f"  dropped, {why}: {_count(len(names))}: {', '.join(names)}"
        if self.left_out:
            entries = ", ".join(f"{name} ({what})" for name, what in self.left_out.items())
            yield f"  left out: {entries}"
        if self.filled:
            filled = _count(len(self.filled))
            yield f"  not in the file, set to 0: {filled} (such as {self.filled[0]})"
        for cast, names in _by_value(self.casts).items():
            yield f"  {cast}: {_count(len(names))} (such as {names[0]})"
        yield from self._values()
        yield f"Written to {self.path}: {self.size:,} bytes, sha256 {self.sha256}"

    def _values(self) -> Iterator[str]:
        kept = [f"{dtype} ({count})" for dtype, count in self.types.items() if dtype != "float32"]
        if kept:
            yield f"  kept as {', '.join(kept)}; create() makes it float32 unless told otherwise"
        if self.num_classes != self.model.num_classes:
            yield f"  {self.num_classes} classes, not {self.model.num_classes}"
        channels, usual = self.input.size[0], self.model.input.size[0]
        if channels != usual:
            yield f"  {channels} input channels, not {usual}"

    def record(self) -> dict[str, Any]:
        """All of it in plain values, for JSON."""
        return {
            **vars(self),
            "path": str(self.path),
            "source": str(self.source),
            "model": self.model.name,
            "in_chans": self.input.size[0],
            "input": vars(self.input),
            "rules": [rule._asdict() for rule in self.rules],
            "dropped": [{"name": name, "why": why} for name, why in self.dropped.items()],
            "manifest": self.manifest,
            "next": self.next_command,
        }


def _count(number: int) -> str:
    return f"{number} tensor{'s' if number != 1 else ''}"


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in values.items():
        grouped.setdefault(value, []).append(name)
    return grouped


# --- the table -----------------------------------------------------------------------------------


def _table(done: Converted) -> Iterator[str]:
    model, tag = _key(done.model.name), _key(done.weights)
    yield f"[models.{model}.weights.{tag}]"
    yield f"source = {_value(f'file:{done.path}')}  # say where others find it"
    yield f"sha256 = {_value(done.sha256)}"
    if done.license is None:
        yield '# license = "..."  must be stated'
    else:
        yield f"license = {_value(done.license)}"
    if done.num_classes != done.model.num_classes:
        yield f"num_classes = {done.num_classes}"
    yield f"input = {_inline(done.input)}  # as {done.model.name}'s: check it"


def _inline(spec: InputSpec) -> str:
    usual = {"flip": True, "crop_mode": "center"}
    facts = {key: value for key, value in vars(spec).items() if usual.get(key) != value}
    return f"{{ {', '.join(f'{key} = {_value(value)}' for key, value in facts.items())} }}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """Strings, numbers and lists are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
