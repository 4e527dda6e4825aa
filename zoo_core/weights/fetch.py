"""Weights before they are needed: into the cache, a folder for another machine, or a lock."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo_core.cache import using_cache
from zoo_core.errors import UnknownName, WeightsError
from zoo_core.files import written
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import Fetched, WeightsInfo
from zoo_core.weights.addresses import known_as, public
from zoo_core.weights.hashes import (
    Stamp,
    all_stamps,
    other_hashes,
    read_sha256,
    remember_hashes,
)
from zoo_core.weights.lock import NAME, Pin, add_pins
from zoo_core.weights.published import CONFIG
from zoo_core.weights.repository import legacy, of_repository, published_files
from zoo_core.weights.sources import (
    ENDINGS,
    MODEL_FILE,
    local_file,
    names_file,
    obtain,
    shelf,
    split_reference,
    verified_file,
)


@dataclass(frozen=True)
class LocalFile:
    """One file that is here now: for which name, from which reference, as which file of it."""

    name: str
    reference: str
    filename: str
    path: Path
    sha256: str
    pinned: str

    @property
    def pin(self) -> Pin:
        return Pin(self.sha256, self.pinned)


def prefetch(names: Iterable[str], *, to: Path | None = None) -> list[LocalFile]:
    """Fetch and verify the weights of models by name, tag or reference; `to` copies them there.

    Another machine uses that folder as ZOO_CACHE=DIR or pretrained=DIR. Raises UnknownName for a
    model without weights, and whatever fetching raises; files that came before stay.
    """
    files = [file for name in names for file in _files(name)]
    if to is not None:
        for file in files:
            _copy(file, to)
        add_pins(to / NAME, {file.reference: file.pin for file in files if _is_weights(file)})
    return files


def lock(names: Iterable[str], path: Path) -> dict[str, Pin]:
    """Write the bytes behind names into a lock file as they are now, and return the new pins."""
    pins: dict[str, Pin] = {}
    for name in names:
        weights = None if "://" in name else _weights(name)
        if weights is not None and weights.sha256 is None:
            fetched = verified_file(weights.source, MODEL_FILE, others=weights.other_hashes)
            assert fetched.sha256 is not None
            source = known_as(weights.source)
            pins[source] = Pin(fetched.sha256, fetched.pinned or source)
        else:
            asked = {file.pinned: file for file in reversed([*_files(name)]) if _is_weights(file)}
            pins |= {file.reference: file.pin for file in asked.values()}
    add_pins(path, pins)
    return pins


@dataclass(frozen=True)
class Finding:
    """One file of the cache that was read again: whether it is what it was."""

    path: Path
    source: str
    ok: bool
    expected: str
    found: str


def verify() -> Iterator[Finding]:
    """Read every file that zoo has verified once more, and compare. Needs no network."""
    for stamp in all_stamps():
        path = Path(stamp.path)
        if path.is_file() and not _changed_by_its_owner(stamp, path):
            actual = read_sha256(path)
            yield Finding(path, stamp.source, actual == stamp.sha256, stamp.sha256, actual)


def _changed_by_its_owner(stamp: Stamp, path: Path) -> bool:
    facts = path.stat()
    same = (stamp.size, stamp.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    return split_reference(stamp.source)[0] in ("file", "") and not same


def _files(name: str) -> Iterator[LocalFile]:
    """Every file that creating `name` needs, from the network or from here."""
    if "://" in name and not names_file(name):
        yield from _published(name)
        return
    weights = WeightsInfo(tag="", source=name) if "://" in name else _weights(name)
    yield from _local(name, weights.source, MODEL_FILE, local_file(weights))


def _published(name: str) -> Iterator[LocalFile]:
    checkpoint = of_repository(name)
    pickled = checkpoint.path.parent.name == "converted"
    needed = (CONFIG,) if pickled else published_files(checkpoint.saved)
    for filename in dict.fromkeys((*needed, *checkpoint.signed)):
        yield from _local(name, name, filename, obtain(checkpoint.reference, filename))
    if pickled:
        yield from _files(legacy(name))
    if checkpoint.base is not None and checkpoint.saved.base is not None:
        yield from _files(checkpoint.saved.base.name)


def _local(name: str, reference: str, filename: str, fetched: Fetched) -> Iterator[LocalFile]:
    """A file under the reference that was asked for, and under the one that pins it."""
    assert fetched.sha256 is not None
    reference = known_as(reference)
    pinned = fetched.pinned or reference
    for known in dict.fromkeys((reference, pinned)):
        yield LocalFile(public(name), known, filename, fetched.path, fetched.sha256, pinned)


def _weights(name: str) -> WeightsInfo:
    named = catalogue().find(name)
    weights = named.weights or named.model.default_weights
    if weights is None:
        raise UnknownName(f"{named.model.name} has no default weights.", hint=f"zoo show {name}")
    return weights


def _is_weights(file: LocalFile) -> bool:
    return file.filename.lower().endswith(ENDINGS)


def _copy(file: LocalFile, to: Path) -> None:
    """Put a file where the cache in `to` has it: under its reference, or with the conversions."""
    if split_reference(file.reference)[0] == "pkg":  # it came with its package
        return
    with using_cache(to):
        converted = file.path.parent.name == "converted"
        own = to / "converted" / file.path.name
        place = own if converted else shelf(file.reference, file.filename)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for source in (file.path, file.path.with_suffix(".json")) if converted else (file.path,):
            with written(place.with_suffix(source.suffix) if converted else place) as temporary:
                shutil.copyfile(source, temporary)
        known = other_hashes(file.sha256) if converted else {}  # of the pickle, which stays here
        with using_cache(to):
            remember_hashes(file.sha256, known)
    except OSError as error:
        raise WeightsError(
            f"{to} cannot be written: {error.strerror or error}.", hint="Choose another folder."
        ) from error
