"""Repositories: files, commits, branches, tags and pull requests. All of it in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hub import git
from hub.files import ATTRIBUTES, File


@dataclass(frozen=True)
class Commit:
    id: str
    parent: str | None
    files: Mapping[str, File]
    title: str
    description: str
    author: str
    seconds: int

    @property
    def date(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.seconds))


@dataclass
class Pull:
    """A discussion; a pull request where `base` names the branch it is for."""

    number: int
    title: str
    author: str
    base: str | None
    status: str = "open"
    events: list[dict] = field(default_factory=list)
    merged: str | None = None
    seconds: int = field(default_factory=lambda: int(time.time()))

    @property
    def reference(self) -> str:
        return f"refs/pr/{self.number}"


@dataclass
class Repo:
    name: str
    private: bool = False
    gated: str | bool = False
    disabled: bool = False
    admitted: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)  # refs/pr/N -> commit

    @property
    def owner(self) -> str:
        return self.name.removeprefix("datasets/").partition("/")[0]

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, pull request or hash, which may be shortened to 7 digits."""
        for names in (self.branches, self.tags, self.heads):
            for name in (revision, revision.removeprefix("refs/heads/")):
                if name in names:
                    return self.commits[names[name]]
        if len(revision) < 7:
            return None
        return next((self.commits[id_] for id_ in self.commits if id_.startswith(revision)), None)

    def history(self, revision: str) -> Iterator[Commit]:
        """Newest first."""
        commit = self.find(revision)
        while commit:
            yield commit
            commit = self.commits.get(commit.parent or "")

    def commit(
        self,
        reference: str,
        changes: Mapping[str, File | None],
        title: str,
        description: str = "",
        author: str | None = None,
        parent: Commit | None = None,
    ) -> Commit:
        """Add a commit to a branch or pull request; None for a file deletes it."""
        parent = parent or self.find(reference)
        changed = {**(parent.files if parent else {}), **changes}
        files = {path: file for path, file in sorted(changed.items()) if file is not None}
        return self.record(reference, parent, files, title, description, author or self.owner)

    def record(
        self,
        reference: str,
        parent: Commit | None,
        files: Mapping[str, File],
        title: str,
        description: str,
        author: str,
    ) -> Commit:
        seconds, above = int(time.time()), parent.id if parent else None
        folder = git.tree({path: file.oid for path, file in files.items()})
        id_ = git.commit(folder, above, author, seconds, f"{title}\n\n{description}")
        self.commits[id_] = Commit(id_, above, files, title, description, author, seconds)
        (self.heads if reference.startswith("refs/pr/") else self.branches)[reference] = id_
        return self.commits[id_]

    def discuss(self, title: str, author: str) -> Pull:
        pull = Pull(len(self.pulls) + 1, title, author, None)
        self.pulls[pull.number] = pull
        return pull

    def request(self, title: str, author: str, base: str, start: Commit, status: str) -> Pull:
        """A new pull request, for the branch `base`, that begins at a commit."""
        pull = self.discuss(title, author)
        pull.base, pull.status = base, status
        self.heads[pull.reference] = start.id
        return pull


def created(name: str, author: str | None = None, **settings: object) -> Repo:
    """A repository as it is right after its creation."""
    repo = Repo(name, **settings)  # type: ignore[arg-type]
    repo.commit("main", {".gitattributes": File.regular(ATTRIBUTES)}, "initial commit", "", author)
    return repo
