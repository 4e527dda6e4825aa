"""The sha256 of a file, computed once: a stamp remembers it until the file changes.

A stamp holds path, size, time of change, inode and digest, so that a later load costs one `stat`
instead of a pass over the bytes. What changes bytes without leaving a trace there, such as a
failing disk, is found by `zoo verify`, which reads everything again. A file that another user can
change is read each time: its owner can leave it as it was in all but its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zoo_core.cache import cache_folder, is_trusted, recall, remember_if_possible
from zoo_core.files import hash_of
from zoo_core.version import __version__

if TYPE_CHECKING:
    from torch import Tensor


class Stamp(msgspec.Struct, frozen=True):
    """What was known of a file when its bytes were last read. `source`: where they came from."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    source: str


def sha256_of(path: Path, *, source: str = "") -> str:
    """The file's sha256, read from its stamp where the file has not changed since.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "empty"
    >>> file.touch()
    >>> sha256_of(file)[:8]
    'e3b0c442'
    """
    path = path.resolve()
    facts = path.stat()
    place = _place(path)
    stamp = recall(place, Stamp) if is_trusted(facts) else None
    now = (str(path), *_identity(path))
    if stamp is not None and (stamp.path, stamp.size, stamp.mtime_ns, stamp.inode) == now:
        return stamp.sha256
    digest = read_sha256(path)
    if _identity(path) == (facts.st_size, facts.st_mtime_ns, facts.st_ino):  # unchanged meanwhile
        remember_if_possible(place, Stamp(str(path), *_identity(path), digest, source))
    return digest


def note_refused(path: Path, sha256: str, *, source: str) -> None:
    """Note which bytes a file should have that has others, so that `zoo verify` finds it damaged.

    The stamp fits no file that is there: the next load reads its bytes again.
    """
    path = path.resolve()
    remember_if_possible(_place(path), Stamp(str(path), -1, -1, -1, sha256, source))


def read_sha256(path: Path) -> str:
    """The file's sha256, from its bytes."""
    return hash_of(path)


def other_hash(name: str, sha256: str, path: Path | None = None) -> str | None:
    """The sha1, md5 or sha512 of the bytes that have a sha256: remembered, else read at `path`.

    None where neither tells.
    """
    place = _other_place(name, sha256)
    digest = recall(place, str)
    if digest is None and path is not None:
        digest = hash_of(path, name)
        remember_if_possible(place, digest)
    return digest


def other_hashes(sha256: str) -> dict[str, str]:
    """What is remembered of the bytes that have a sha256, by the names of the hashes."""
    found = {name: other_hash(name, sha256) for name in ("sha1", "md5", "sha512")}
    return {name: digest for name, digest in found.items() if digest is not None}


def remember_hashes(sha256: str, digests: Mapping[str, str]) -> None:
    """Note them in the cache in use, as `other_hashes` gave them in another."""
    for name, digest in digests.items():
        remember_if_possible(_other_place(name, sha256), digest)


def _other_place(name: str, sha256: str) -> Path:
    return cache_folder() / "digests" / f"{sha256}.{name}"


def all_stamps() -> Iterator[Stamp]:
    """Every stamp of this cache, by path; broken ones are left out."""
    stamps = (recall(place, Stamp) for place in cache_folder().glob("stamps/*.json"))
    yield from sorted(filter(None, stamps), key=lambda stamp: stamp.path)


def _identity(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _place(path: Path) -> Path:
    name = hashlib.blake2b(str(path).encode(), digest_size=16).hexdigest()
    return cache_folder() / "stamps" / f"{name}.json"


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """64 hex digits that two sets of tensors share only when they are equal, bit for bit.

    >>> import torch
    >>> tensor_digest({"a": torch.zeros(2)}) == tensor_digest({"a": torch.zeros(2)})
    True
    >>> tensor_digest({"a": torch.zeros(2)}) == tensor_digest({"a": torch.zeros(1, 2)})
    False
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{str(tensor.dtype)[6:]}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def remembered_digest(files: tuple[str, ...], compute: Callable[[], str]) -> str:
    """A digest by the sha256 of the files behind the tensors: computed once, then looked up."""
    key = hashlib.sha256("\0".join((__version__, *files)).encode()).hexdigest()
    place = cache_folder() / "digests" / key
    digest = recall(place, str)
    if digest is None:
        digest = compute()
        remember_if_possible(place, digest)
    return digest
