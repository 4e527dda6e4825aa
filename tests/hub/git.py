"""The hashes that git and Git LFS give to files, folders and commits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

FILE, FOLDER = b"100644", b"40000"


def sha1(kind: str, content: bytes) -> str:
    """The name git gives to an object."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()


def blob(content: bytes) -> str:
    return sha1("blob", content)


def pointer(sha256: str, size: int) -> bytes:
    """The text that git holds in place of an LFS object."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def tree(blobs: Mapping[str, str]) -> str:
    """The hash of a folder: path in the folder -> hash of the file."""
    entries = [(name, FILE, hash_) for name, hash_ in blobs.items() if "/" not in name]
    entries += [(name, FOLDER, tree(inside)) for name, inside in subfolders(blobs).items()]
    entries.sort(key=lambda entry: entry[0] + "/" * (entry[1] == FOLDER))
    lines = [mode + b" " + name.encode() + b"\0" + bytes.fromhex(h) for name, mode, h in entries]
    return sha1("tree", b"".join(lines))


def subfolders(blobs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Name of a subfolder -> path in it -> hash."""
    found: dict[str, dict[str, str]] = {}
    for path, hash_ in blobs.items():
        name, slash, rest = path.partition("/")
        if slash:
            found.setdefault(name, {})[rest] = hash_
    return found


def commit(tree: str, parent: str | None, author: str, seconds: int, message: str) -> str:
    person = f"{author} <{author}@users.noreply.huggingface.co> {seconds} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    lines += [f"author {person}", f"committer {person}", "", message.strip()]
    return sha1("commit", ("\n".join(lines) + "\n").encode())
