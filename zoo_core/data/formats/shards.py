"""WebDataset shards on disk: tar files that hold each picture beside its label.

They are listed once and then read by offset, in any order, by any process. So seeds, caches and
resuming work as they do for files.
"""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.data.decoding import ENDINGS, Encoded
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec
from zoo_core.errors import DataError
from zoo_core.humanize import natural

PICTURES = tuple(ending.removeprefix(".") for ending in ENDINGS)
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Member:
    """A file in a shard: where its bytes are."""

    shard: Path
    name: str
    offset: int
    size: int


class Members(Encoded):
    """Reads pictures from shards."""

    def __init__(self, members: list[Member]) -> None:
        super().__init__()
        self.members = members

    def content(self, index: int) -> bytes:
        return _bytes(self.members[index])

    def name_of(self, index: int) -> str:
        return _named(self.members[index])


def open_wds(spec: Spec) -> Pictures:
    """`wds/DIR`, or a pattern of shards: `wds/DIR/train-{000..009}.tar`, `wds/DIR/train-*.tar`.

    `#train`: the shards whose names begin with it. A label is the member `.cls`, or the field
    `label` (`?label=FIELD`) of the member `.json`: a class number, a name, or a list of those.
    Names are numbered by `classes.txt` beside the shards, where it is there.
    """
    shards = _shards(spec)
    samples = [sample for shard in shards for sample in _samples(shard)]
    if not samples:
        fault = f"{shards[0]} holds no pictures" if len(shards) == 1 else "No shard holds pictures"
        raise DataError(f"{fault}.", hint=f"Pictures end in {', '.join(PICTURES[:4])}.")
    labels = [_label(sample, spec.options.get("label")) for sample in samples]
    numbers = numbered(labels, _classes(shards[0].parent), spec.text)
    return Pictures(
        spec.name,
        Members([_picture(sample) for sample in samples]),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
    )


# --- shards --------------------------------------------------------------------------------------


def _shards(spec: Spec) -> list[Path]:
    path = spec.path
    folder, patterns = (path, ["*.tar"]) if path.is_dir() else (path.parent, _ranged(path.name))
    names: list[str] = []
    for pattern in patterns:
        files = (file.name for file in folder.glob(pattern) if file.is_file())
        matching = sorted(files, key=natural)
        if not matching:
            raise DataError(f"No shard {folder / pattern}.", hint="Shards are .tar files.")
        names += matching
    chosen = [folder / name for name in dict.fromkeys(names) if name.startswith(spec.part)]
    if not chosen:
        raise DataError(f'No shard of {spec.name} begins with "{spec.part}".')
    return chosen


def _ranged(pattern: str) -> list[str]:
    """A pattern for each number of each `{000..009}`, with as many digits."""
    span = RANGE.search(pattern)
    if span is None:
        return [pattern]
    numbers = range(int(span[1]), int(span[2]) + 1)
    filled = (f"{number:0{len(span[1])}d}" for number in numbers)
    head, tail = pattern[: span.start()], pattern[span.end() :]
    return [name for number in filled for name in _ranged(head + number + tail)]


def _samples(shard: Path) -> list[dict[str, Member]]:
    """The members of each sample by what follows the first dot, in the shard's order."""
    size = shard.stat().st_size
    samples: dict[str, dict[str, Member]] = {}
    try:
        with tarfile.open(shard, "r:") as opened:
            for info in opened:
                if not info.isfile():
                    continue
                if info.offset_data + info.size > size:
                    raise DataError(f"{shard} is cut short in {info.name}.")
                key, ending = _key(info.name)
                member = Member(shard, info.name, info.offset_data, info.size)
                if samples.setdefault(key, {}).setdefault(ending, member) is not member:
                    raise DataError(f"{shard} holds {info.name} twice.")
    except (tarfile.TarError, OSError) as error:
        hint = "Shards are tar files that are not compressed."
        raise DataError(f"{shard} cannot be read: {error}.", hint=hint) from error
    return [sample for sample in samples.values() if _is_sample(sample)]


def _key(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    base, _, ending = file.partition(".")
    return folder + slash + base, ending.lower()


# --- samples -------------------------------------------------------------------------------------


def _is_sample(sample: dict[str, Member]) -> bool:
    pictures = [member for ending, member in sample.items() if ending in PICTURES]
    if len(pictures) > 1:
        raise DataError(f"{_named(pictures[0])} and {pictures[1].name} are one sample's.")
    if "cls" in sample and not pictures:
        raise DataError(f"{_named(sample['cls'])} has no picture beside it.")
    return bool(pictures)


def _picture(sample: dict[str, Member]) -> Member:
    return next(member for ending, member in sample.items() if ending in PICTURES)


def _label(sample: dict[str, Member], field: str | None) -> Any:
    try:
        if "cls" in sample and field is None:
            text = _bytes(sample["cls"]).decode().strip()
            return int(text) if re.fullmatch(r"-?\d+", text) else text
        if "json" in sample:
            return json.loads(_bytes(sample["json"]))[field or "label"]
    except (ValueError, LookupError, TypeError) as error:
        member = sample["cls" if "cls" in sample and field is None else "json"]
        raise DataError(f'{_named(member)} holds no "{field or "label"}".') from error
    raise DataError(f"{_named(_picture(sample))} has no label: no .cls and no .json.")


def _classes(folder: Path) -> list[str] | None:
    file = folder / "classes.txt"
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


# --- bytes ---------------------------------------------------------------------------------------


def _bytes(member: Member) -> bytes:
    """A member's bytes. The shard is opened anew: an open file is no process's own after a fork."""
    try:
        with member.shard.open("rb") as opened:
            opened.seek(member.offset)
            return opened.read(member.size)
    except OSError as error:
        raise DataError(f"{_named(member)} cannot be read: {error}.") from error


def _named(member: Member) -> str:
    return f"{member.name} in {member.shard}"
