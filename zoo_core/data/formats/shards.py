"""WebDataset shards on disk: tar files that hold each picture beside its label.

They are listed once and then read by offset, in any order, by any process. So seeds, caches and
resuming work as they do for files.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core import files
from zoo_core.data.decoding import HEAD, LARGEST, Encoded, state_of
from zoo_core.data.endings import is_picture
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.formats.ranges import ranged
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, bits_of
from zoo_core.errors import DataError
from zoo_core.files import is_hidden
from zoo_core.humanize import natural, readable_name

LABEL, FIELDS = 2**16, 2**24  # bytes that are read of a .cls and of a .json
NAMES = 2**26  # bytes of a classes.txt


@dataclass(frozen=True)
class Member:
    """A file in a shard: where its bytes are."""

    shard: Path
    name: str
    offset: int
    size: int


class Members(Encoded):
    """Reads pictures from shards."""

    def __init__(self, members: list[Member], bits: int | None = None) -> None:
        super().__init__(bits)
        self.members = members

    def content(self, index: int) -> bytes:
        return _bytes(self.members[index])

    def name_of(self, index: int) -> str:
        return _named(self.members[index])

    def state(self, index: int) -> Any:
        return state_of(self.members[index].shard)

    def head(self, index: int) -> bytes:
        return _bytes(self.members[index], HEAD)


def open_wds(spec: Spec) -> Pictures:
    """`wds/DIR`, or a pattern of shards: `wds/DIR/train-{000..009}.tar`, `wds/DIR/train-*.tar`.

    `#train`: the shards whose names begin with it. A label is the member `.cls`, or the field
    `label` (`?label=FIELD`) of the member `.json`: a class number, a name, or a list of those.
    Names are numbered by `classes.txt` beside the shards, where it is there.
    """
    shards = _shards(spec)
    samples, unused = _samples(shards)
    if not samples:
        fault = f"{shards[0]} holds no pictures" if len(shards) == 1 else "No shard holds pictures"
        raise DataError(f"{fault}.", hint="Pictures end in jpg, png, webp, tif and so on.")
    labels = [_label(sample, spec.options.get("label")) for sample in samples]
    numbers = numbered(labels, _classes(shards[0].parent), spec.text)
    return Pictures(
        spec.name,
        Members([_picture(sample) for sample in samples], bits_of(spec)),
        numbers.targets,
        numbers.classes,
        multilabel=numbers.multilabel,
        notes=_notes(unused, spec),
    )


# --- shards --------------------------------------------------------------------------------------


def _shards(spec: Spec) -> list[Path]:
    path = spec.path
    folder, patterns = (path, ["*.tar"]) if path.is_dir() else (path.parent, ranged(path.name))
    names: list[str] = []
    for pattern in patterns:
        try:
            found = [file.name for file in folder.glob(pattern) if not file.is_dir()]
        except ValueError as error:
            raise DataError(f"{readable_name(pattern)} is no pattern: {error}.") from error
        matching = sorted(found, key=natural)
        if not matching:
            raise DataError(f"No shard {folder / pattern}.", hint="Shards are .tar files.")
        names += matching
    chosen = [folder / name for name in dict.fromkeys(names) if name.startswith(spec.part)]
    if not chosen:
        raise DataError(f'No shard of {spec.name} begins with "{spec.part}".')
    return chosen


def _files(shard: Path) -> Iterator[Member]:
    """What lies in a shard, without what is hidden, in its order."""
    names: set[str] = set()
    end = 0
    try:
        with files.opened(shard) as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            size = os.fstat(opened.fileno()).st_size
            for info in tar:
                if info.offset < end or info.size < 0:  # it would be gone through for ever
                    raise DataError(f"{shard} goes back to where it was.")
                end = info.offset + 1
                if info.isdir() or is_hidden(Path(info.name)):
                    continue
                _refuse_no_file(shard, info)
                if info.size > LARGEST:
                    name = readable_name(info.name)
                    raise DataError(f"{name} in {shard} is larger than any picture.")
                if info.offset_data + info.size > size:
                    raise DataError(f"{shard} is cut short in {readable_name(info.name)}.")
                if info.name in names:
                    raise DataError(f"{shard} holds {readable_name(info.name)} twice.")
                names.add(info.name)
                yield Member(shard, info.name, info.offset_data, info.size)
    except files.NoRegularFile as error:
        raise DataError(f"{readable_name(shard)} {error}.", hint="Shards are files.") from error
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError) as error:
        hint = "Shards are tar files that are not compressed."
        raise DataError(f"{shard} cannot be read: {error}.", hint=hint) from error


def _refuse_no_file(shard: Path, info: tarfile.TarInfo) -> None:
    """Raise DataError for a link, a pipe or a device, and for a file that was packed with holes."""
    if info.isfile() and not info.issparse():
        return
    kind = "a link" if info.issym() or info.islnk() else "no plain file"
    raise DataError(
        f"{readable_name(info.name)} in {readable_name(shard)} is {kind}.",
        hint="Pack it with: tar --dereference --hard-dereference.",
    )


# --- samples -------------------------------------------------------------------------------------

Sample = dict[str, Member]
"""The members of a sample by their endings, without the dot."""


def _samples(shards: list[Path]) -> tuple[list[Sample], list[Member]]:
    """The samples, in the order of the shards, and the pictures and files that are in none.

    A picture and its label have one name up to the last dot: `scan_v1.5.png`, `scan_v1.5.cls`. What
    has another name belongs to the sample that its name begins with, up to a dot.
    """
    samples: list[Sample] = []
    unused: list[Member] = []
    for shard in shards:
        groups: dict[str, Sample] = {}
        for member in _files(shard):
            base, ending = _split_name(member.name)
            twin = groups.setdefault(base, {}).setdefault(ending, member)
            if twin is not member:
                raise DataError(f"{shard} holds {twin.name} and {member.name} for one sample.")
        whole = {base for base, group in groups.items() if _is_sample(group)}
        samples += [group for base, group in groups.items() if base in whole]
        for base, group in groups.items():
            if base not in whole:
                unused += _apart(group, _belongs(base, whole))
    return samples, unused


def _split_name(name: str) -> tuple[str, str]:
    """A name up to its last dot, and its ending in small letters."""
    folder, slash, file = name.rpartition("/")
    base, dot, ending = file.rpartition(".")
    return (folder + slash + base, ending.lower()) if dot else (name, "")


def _belongs(base: str, whole: set[str]) -> bool:
    """Whether a name goes on from that of a sample, after a dot."""
    folder, slash, file = base.rpartition("/")
    pieces = file.split(".")
    return any(
        folder + slash + ".".join(pieces[:count]) in whole for count in range(1, len(pieces))
    )


def _is_sample(group: Sample) -> bool:
    """Whether a group is a picture with its label. Raises DataError for two pictures."""
    pictures = _pictures_of(group)
    if len(pictures) > 1:
        raise DataError(f"{_named(pictures[0])} and {pictures[1].name} are one sample's.")
    return bool(pictures) and ("cls" in group or "json" in group)


def _apart(group: Sample, belongs: bool) -> list[Member]:
    """What of a group that is no sample is left out; of a sample's fields pictures and labels.

    Raises DataError for a picture without a label, and for a label without a picture.
    """
    pictures = _pictures_of(group)
    if belongs:
        return pictures + [group[ending] for ending in ("cls",) if ending in group]
    if pictures:
        raise DataError(f"{_named(pictures[0])} has no label: no .cls and no .json.")
    if "cls" in group:
        raise DataError(f"{_named(group['cls'])} has no picture beside it.")
    return list(group.values())


def _pictures_of(group: Sample) -> list[Member]:
    return [member for ending, member in group.items() if is_picture(Path(f"_.{ending}"))]


def _picture(sample: Sample) -> Member:
    return _pictures_of(sample)[0]


def _notes(unused: list[Member], spec: Spec) -> list[str]:
    """A line on what is in no sample."""
    if not unused:
        return []
    files = "1 file" if len(unused) == 1 else f"{len(unused)} files"
    what = f"Left out {files} of {readable_name(spec.name)}: no sample's picture or label."
    return [f"{what} The first is {_named(unused[0])}."]


def _label(sample: dict[str, Member], field: str | None) -> Any:
    try:
        if "cls" in sample and field is None:
            text = _bytes(sample["cls"], LABEL).decode().strip()
            return int(text) if re.fullmatch(r"-?\d+", text) else text
        if "json" in sample:
            return json.loads(_bytes(sample["json"], FIELDS))[field or "label"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        member = sample["cls" if "cls" in sample and field is None else "json"]
        raise DataError(f'{_named(member)} holds no "{field or "label"}".') from error
    raise DataError(f'{_named(sample["cls"])} has no .json beside it with "{field}".')


def _classes(folder: Path) -> list[str] | None:
    file = folder / "classes.txt"
    try:
        lines = files.text(file, NAMES, encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except files.NoRegularFile as error:
        raise DataError(f"{file} cannot be read: it {error}.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    names = "\n".join(line.strip() for line in lines).rstrip("\n").split("\n")
    if "" in names:
        raise DataError(
            f"{file} has no name in line {names.index('') + 1}; each line names one class.",
            hint="Take the line out, if the classes after it have the numbers without it.",
        )
    return names


# --- bytes ---------------------------------------------------------------------------------------


def _bytes(member: Member, most: int | None = None) -> bytes:
    """A member's bytes, `most` of them at most.

    The shard is opened anew: an open file is no process's own after a fork.
    """
    try:
        with files.opened(member.shard) as opened:
            opened.seek(member.offset)
            return opened.read(member.size if most is None else min(most, member.size))
    except OSError as error:
        raise DataError(f"{_named(member)} cannot be read: {error}.") from error


def _named(member: Member) -> str:
    return f"{readable_name(member.name)} in {readable_name(member.shard)}"
