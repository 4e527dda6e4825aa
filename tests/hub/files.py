"""The files of a repository, and which of them go to Git LFS."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from hub import git

LARGE = "bin ckpt gz h5 msgpack npy npz onnx parquet pkl pt pth safetensors tar zip".split()
ATTRIBUTES = "".join(f"*.{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE).encode()


@dataclass(frozen=True)
class File:
    """What git holds: the bytes, or a pointer to the LFS object of which `sha256` tells."""

    content: bytes
    size: int
    sha256: str | None = None

    @classmethod
    def regular(cls, content: bytes) -> File:
        return cls(content, len(content))

    @classmethod
    def large(cls, sha256: str, size: int) -> File:
        return cls(git.pointer(sha256, size), size, sha256)

    @cached_property
    def oid(self) -> str:
        return git.blob(self.content)


def is_large(path: str, size: int, sample: bytes, attributes: bytes, threshold: int) -> bool:
    """Whether a file goes to LFS: by its name, its size, or because it is not text.

    An empty one never does.
    """
    lines = [line.split() for line in attributes.decode().splitlines()]
    patterns = [words[0] for words in lines if "filter=lfs" in words]
    return size > 0 and (size > threshold or b"\0" in sample or matches(path, patterns))


def matches(path: str, patterns: Iterable[str]) -> bool:
    """As git does it: a pattern without a slash is for names in any folder."""
    names = {path, path.rpartition("/")[2]}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
