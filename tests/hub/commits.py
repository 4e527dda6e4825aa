"""Pushing: how each file is to be sent, and the commit itself, in lines of JSON."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from hub import card
from hub.access import commit_of, writable, writer
from hub.files import File, is_large, matches
from hub.messages import Refusal, Request, Response, answer
from hub.routes import route
from hub.store import Commit, Repo

if TYPE_CHECKING:
    from hub.server import HubServer

Changes = dict[str, File | None]


def preupload(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    """For each file: LFS or not, ignored or not, and the hash of the one that is there now."""
    found = writable(hub, request, repo, rev, request.flag("create_pr"))
    commit, body = commit_of(found, rev), request.json()
    ignored = [line for line in body.get("gitIgnore", "").splitlines() if line.strip()]
    return answer({"files": [advice(hub, commit, file, ignored) for file in body["files"]]})


def advice(
    hub: HubServer, commit: Commit, asked: dict[str, Any], ignored: list[str]
) -> dict[str, Any]:
    path, sample = asked["path"], base64.b64decode(asked["sample"])
    large = is_large(path, asked["size"], sample, attributes(commit), hub.lfs_threshold)
    told = {"path": path, "uploadMode": "lfs" if large else "regular"}
    told["shouldIgnore"] = matches(path, ignored)
    there = commit.files.get(path)
    return {**told, "oid": there.sha256 or there.oid} if there else told


def attributes(commit: Commit) -> bytes:
    file = commit.files.get(".gitattributes")
    return file.content if file else b""


def push(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    pull = request.flag("create_pr")
    found, author = writable(hub, request, repo, rev, pull), writer(hub, request).name
    header, changes = parsed(hub, request, commit_of(found, rev))
    if rev not in found.branches and rev not in found.heads:
        raise Refusal(404, f"Invalid rev id: {rev}", "RevisionNotFound")
    refuse_bad_card(changes.get("README.md"))
    text = (header["summary"], header.get("description", ""))
    start = base(found, rev, header.get("parentCommit"), pull)
    if not pull:
        return told(hub, repo, found.commit(rev, changes, *text, author))
    opened = found.request(text[0], author, rev, start, "open")
    commit = found.commit(opened.reference, changes, *text, author)
    return told(hub, repo, commit, f"{hub.url}/{repo}/discussions/{opened.number}")


def refuse_bad_card(readme: File | None) -> None:
    errors = (
        card.check(readme.content.decode(errors="replace"))[0]
        if readme and not readme.sha256
        else []
    )
    if errors:
        raise Refusal(400, f"Invalid metadata in README.md: {'; '.join(errors)}")


def base(repo: Repo, revision: str, parent: str | None, pull: bool) -> Commit:
    """The commit to build on; 412 where the caller knows only an older one."""
    head = commit_of(repo, revision)
    if parent is None:
        return head
    if pull:
        return commit_of(repo, parent)
    if not head.id.startswith(parent):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    return head


def told(hub: HubServer, repo: str, commit: Commit, pull: str | None = None) -> Response:
    known = {"success": True, "commitOid": commit.id, "hookOutput": ""}
    known["commitUrl"] = f"{hub.url}/{repo}/commit/{commit.id}"
    return answer({**known, "pullRequestUrl": pull} if pull else known)


def parsed(hub: HubServer, request: Request, commit: Commit) -> tuple[dict[str, Any], Changes]:
    """The header of the commit, and what it changes: nothing is, until all lines are read."""
    header: dict[str, Any] = {}
    changes: Changes = {}
    try:
        lines = [json.loads(line) for line in request.body.splitlines() if line]
    except ValueError:
        raise Refusal(400, "The body is not lines of JSON") from None
    for line in lines:
        if line["key"] == "header":
            header = line["value"]
        else:
            changes |= change(hub, commit, line["key"], line["value"])
    if not header.get("summary"):
        raise Refusal(400, "A commit needs a summary")
    return header, changes


def change(hub: HubServer, commit: Commit, key: str, value: dict[str, Any]) -> Changes:
    path = value["path"]
    if key == "file":
        return {path: File.regular(base64.b64decode(value["content"]))}
    if key == "lfsFile":
        return {path: large(hub, value["oid"])}
    gone = [p for p in commit.files if p == path or (key == "deletedFolder" and within(p, path))]
    if key not in ("deletedFile", "deletedFolder"):
        raise Refusal(400, f"Unknown operation {key!r}")
    if not gone:
        raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    return dict.fromkeys(gone)


def within(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def large(hub: HubServer, sha256: str) -> File:
    """A pointer to an object that is there."""
    size = hub.size_of(sha256)
    if size is None:
        raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
    return File.large(sha256, size)


ROUTES = [
    route("POST", "/api/models/{repo}/preupload/{rev}", preupload),
    route("POST", "/api/models/{repo}/commit/{rev}", push),
]
