"""What is in a repository at a revision: folders page by page, and single paths."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any

from hub import git
from hub.access import commit_of, visible
from hub.messages import Refusal, Request, Response, answer
from hub.routes import page, route
from hub.store import Commit, Repo

if TYPE_CHECKING:
    from hub.server import HubServer

PAGE, EXPANDED_PAGE = 1000, 50
SAFE = {"status": "safe", "avScan": {}, "pickleImportScan": {}}


def tree(hub: HubServer, request: Request, repo: str, rev: str, path: str = "") -> Response:
    found = visible(hub, request, repo)
    commit, expand = commit_of(found, rev), request.flag("expand")
    entries = inside(hub, commit, path, request.flag("recursive"))
    if path and not entries:
        raise Refusal(404, f"{path} does not exist on {rev!r}", "EntryNotFound")
    extra = {entry["path"]: last_commit(found, commit, entry) for entry in entries if expand}
    entries = [{**entry, **extra.get(entry["path"], {})} for entry in entries]
    size = hub.page_size or (EXPANDED_PAGE if expand else PAGE)
    shown, link = page(request, hub.url, entries, size)
    return answer(shown, headers=link)


def inside(hub: HubServer, commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    """The entries of a folder, sorted by path; of its subfolders too."""
    start = f"{folder}/" if folder else ""
    below = [path for path in commit.files if path.startswith(start)]
    entries = {folder_: folder_entry(commit, folder_) for p in below for folder_ in parents(p)}
    entries |= {path: file_entry(hub, commit, path) for path in below}
    return [
        entry
        for path, entry in sorted(entries.items())
        if path.startswith(start) and (recursive or "/" not in path[len(start) :])
    ]


def parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def folder_entry(commit: Commit, folder: str) -> dict[str, Any]:
    start = f"{folder}/"
    held = {p[len(start) :]: f.oid for p, f in commit.files.items() if p.startswith(start)}
    return {"type": "directory", "oid": git.tree(held), "size": 0, "path": folder}


def file_entry(hub: HubServer, commit: Commit, path: str) -> dict[str, Any]:
    file = commit.files[path]
    entry = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.sha256:
        size = {"size": file.size, "pointerSize": len(file.content)}
        entry["lfs"] = {"oid": file.sha256, **size}
        hash_ = hub.xet_hash(file.sha256)
        entry |= {"xetHash": hash_} if hash_ else {}
    return entry


def last_commit(repo: Repo, commit: Commit, entry: dict[str, Any]) -> dict[str, Any]:
    """The commit that changed an entry last."""
    path, changed = entry["path"], commit
    while (above := repo.commits.get(changed.parent or "")) and same(above, changed, path):
        changed = above
    last = {"id": changed.id, "title": changed.title, "date": changed.date}
    safe = {"securityFileStatus": SAFE} if entry["type"] == "file" else {}
    return {"lastCommit": last, **safe}


def same(one: Commit, other: Commit, path: str) -> bool:
    def held(commit: Commit) -> dict[str, str]:
        return {p: f.oid for p, f in commit.files.items() if p == path or p.startswith(path + "/")}

    return held(one) == held(other)


def paths_info(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    """Those of the asked paths that exist."""
    found = visible(hub, request, repo)
    commit = commit_of(found, rev)
    asked = urllib.parse.parse_qs(request.body.decode())
    known = {entry["path"]: entry for entry in inside(hub, commit, "", recursive=True)}
    entries = [known[path] for path in asked.get("paths", []) if path in known]
    if asked.get("expand", ["false"])[0].lower() == "true":
        entries = [{**entry, **last_commit(found, commit, entry)} for entry in entries]
    return answer(entries)


ROUTES = [
    route("GET", "/api/models/{repo}/tree/{rev}", tree),
    route("GET", "/api/models/{repo}/tree/{rev}/{path}", tree),
    route("POST", "/api/models/{repo}/paths-info/{rev}", paths_info),
]
