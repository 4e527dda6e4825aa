"""What a Hub knows: repositories, large files, tokens. Tests fill it and look into it here."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from hub import shards, xorbs
from hub.faults import Faults
from hub.files import ATTRIBUTES, File, is_large, sha256
from hub.log import Entry, Log
from hub.store import Commit, Pull, Repo, created

TOKENS = {
    "hf_write": ("alice", "write"),
    "hf_read": ("alice", "read"),
    "hf_other": ("bob", "write"),
}


class State:
    """All that is in memory; the constructor's options may be changed at any time.

    `tokens`: token -> user name and role, "read" or "write". `xet`: the folder of its store; None
    turns it off. `lfs_threshold`: files above this size are large. `part_size`: those above this
    one are uploaded in parts. `page_size`: entries of a page; None is what the real Hub has.
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, tuple[str, str]] = TOKENS,
        xet: Path | None = None,
        lfs_threshold: int = 10_000_000,
        part_size: int = 16_000_000,
        page_size: int | None = None,
    ) -> None:
        self.tokens, self.xet, self.page_size = dict(tokens), xet, page_size
        self.lfs_threshold, self.part_size = lfs_threshold, part_size
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}  # sha256 -> content
        self.static: dict[str, bytes] = {}  # path below /static/ -> content
        self.log, self.faults, self.lock = Log(), Faults(), threading.RLock()
        self.errors: list[str] = []  # tracebacks of this server itself

    def seed(
        self,
        repo: str,
        files: Mapping[str, bytes | None],
        *,
        private: bool = False,
        gated: bool | str = False,
        branch: str = "main",
        title: str = "Seed",
    ) -> str:
        """Commit files (None deletes one) to a repository, made if need be; the commit's hash."""
        with self.lock:
            if repo not in self.repos:
                gate = "auto" if gated is True else gated
                self.repos[repo] = created(repo, private=private, gated=gate)
            changes = {path: self.file_of(path, body) for path, body in files.items()}
            return self.repos[repo].commit(branch, changes, title).id

    def file_of(self, path: str, body: bytes | None) -> File | None:
        if body is None:
            return None
        if not is_large(path, len(body), body[:512], ATTRIBUTES, self.lfs_threshold):
            return File.regular(body)
        self.objects[sha256(body)] = body
        return File.large(sha256(body), len(body))

    def file(self, repo: str, path: str, revision: str = "main") -> bytes:
        """The bytes of a file; KeyError where there is none."""
        file = self.commit(repo, revision).files[path]
        if file.sha256 is None:
            return file.content
        body = self.object(file.sha256)
        assert body is not None
        return body

    def files(self, repo: str, revision: str = "main") -> list[str]:
        return list(self.commit(repo, revision).files)

    def commit(self, repo: str, revision: str = "main") -> Commit:
        found = self.repos[repo].find(revision)
        if found is None:
            raise KeyError(f"{repo} has no revision {revision}")
        return found

    def commits(self, repo: str, revision: str = "main") -> list[Commit]:
        """Newest first."""
        return list(self.repos[repo].history(revision))

    def branches(self, repo: str) -> dict[str, str]:
        return dict(self.repos[repo].branches)

    def tags(self, repo: str) -> dict[str, str]:
        return dict(self.repos[repo].tags)

    def pulls(self, repo: str) -> list[Pull]:
        return [pull for pull in self.repos[repo].pulls.values() if pull.base is not None]

    def requests(self, pattern: str = "*") -> list[Entry]:
        """Those whose "METHOD path" matches a shell pattern, in order of arrival."""
        return self.log.matching(pattern)

    def clear(self) -> None:
        """Forget the requests and the faults."""
        self.log.clear()
        self.faults.clear()

    def object(self, oid: str) -> bytes | None:
        """The content of a large file, wherever it is stored."""
        return self.objects.get(oid) or (xorbs.content(self.xet, oid) if self.xet else None)

    def size_of(self, oid: str) -> int | None:
        if oid in self.objects:
            return len(self.objects[oid])
        known = shards.index(self.xet).get(oid) if self.xet else None
        return known.size if known else None

    def xet_hash(self, oid: str) -> str | None:
        """The name Xet has for a large file; None where it came another way, or Xet is off."""
        known = shards.index(self.xet).get(oid) if self.xet else None
        return known.hash if known else None
