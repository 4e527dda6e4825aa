"""Branches, tags and the history of a repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hub.access import commit_of, visible, writable
from hub.messages import Refusal, Request, Response, answer
from hub.routes import page, route

if TYPE_CHECKING:
    from hub.server import HubServer

PAGE = 50


def refs(hub: HubServer, request: Request, repo: str) -> Response:
    found = visible(hub, request, repo)
    known = {"branches": named("refs/heads/", found.branches), "converts": []}
    known["tags"] = named("refs/tags/", found.tags)
    if request.flag("include_prs"):
        known["pullRequests"] = named("", found.heads)
    return answer(known)


def named(prefix: str, heads: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": prefix + name, "targetCommit": id_} for name, id_ in heads.items()
    ]


def commits(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    found = visible(hub, request, repo)
    commit_of(found, rev)
    past = [
        {
            "id": commit.id,
            "title": commit.title,
            "message": commit.description,
            "authors": [{"user": commit.author}],
            "date": commit.date,
        }
        for commit in found.history(rev)
    ]
    shown, link = page(request, hub.url, past, hub.page_size or PAGE)
    return answer(shown, headers={"X-Total-Count": str(len(past)), **link})


def create_branch(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    found = writable(hub, request, repo)
    if rev in found.branches:
        raise Refusal(409, f"Reference already exists: refs/heads/{rev}")
    start = request.json().get("startingPoint") or "main"
    found.branches[rev] = commit_of(found, start).id
    return answer({})


def delete_branch(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    found = writable(hub, request, repo)
    if rev == "main":
        raise Refusal(403, "Cannot delete the default branch")
    if found.branches.pop(rev, None) is None:
        raise Refusal(404, f"Reference does not exist: refs/heads/{rev}", "RevisionNotFound")
    return answer({})


def create_tag(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    found, tag = writable(hub, request, repo), request.json()["tag"]
    if tag in found.tags:
        raise Refusal(409, f"Tag reference exists already: {tag}")
    found.tags[tag] = commit_of(found, rev).id
    return answer({})


def delete_tag(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    found = writable(hub, request, repo)
    if found.tags.pop(rev, None) is None:
        raise Refusal(404, f"Reference does not exist: refs/tags/{rev}", "RevisionNotFound")
    return answer({})


ROUTES = [
    route("GET", "/api/models/{repo}/refs", refs),
    route("GET", "/api/models/{repo}/commits/{rev}", commits),
    route("POST", "/api/models/{repo}/branch/{rev}", create_branch),
    route("DELETE", "/api/models/{repo}/branch/{rev}", delete_branch),
    route("POST", "/api/models/{repo}/tag/{rev}", create_tag),
    route("DELETE", "/api/models/{repo}/tag/{rev}", delete_tag),
]
