"""Accounts and repositories: who am I, create, delete, settings, facts, lists."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hub import card
from hub.access import caller, commit_of, visible, writable, writer
from hub.files import File
from hub.messages import Refusal, Request, Response, answer
from hub.routes import page, route
from hub.store import Commit, Repo, created

if TYPE_CHECKING:
    from hub.server import HubServer


def whoami(hub: HubServer, request: Request) -> Response:
    user = caller(hub, request)
    if user is None:
        raise Refusal(401, "Invalid username or password.")
    token = {"displayName": "test", "role": user.role}
    known = {"type": "user", "id": identity(user.name), "name": user.name, "fullname": user.name}
    auth = {"type": "access_token", "accessToken": token}
    return answer({**known, "isPro": False, "orgs": [], "auth": auth})


def identity(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()[:24]


def target(hub: HubServer, request: Request) -> str:
    """The repository that the body of a request names; the caller must own its namespace."""
    user, body = writer(hub, request, api=False), request.json()
    owner = body.get("organization") or user.name
    if body.get("type") not in (None, "model"):
        raise Refusal(400, "This Hub has models only")
    if owner != user.name:
        raise Refusal(403, f'You don\'t have the rights to create a model under "{owner}"')
    return f"{owner}/{body['name']}"


def create(hub: HubServer, request: Request) -> Response:
    name = target(hub, request)
    url = f"{hub.url}/{name}"
    if name in hub.repos:
        message = "You already created this model repo"
        return answer({"error": message, "url": url}, 409, {"X-Error-Message": message})
    hub.repos[name] = created(name, private=is_private(request.json()))
    return answer({"url": url, "name": name, "id": identity(name)})


def is_private(body: dict[str, Any]) -> bool:
    return body.get("visibility") == "private" or bool(body.get("private"))


def delete(hub: HubServer, request: Request) -> Response:
    name = target(hub, request)
    visible(hub, request, name)
    del hub.repos[name]
    return answer({})


def settings(hub: HubServer, request: Request, repo: str) -> Response:
    found, body = writable(hub, request, repo), request.json()
    if "visibility" in body or "private" in body:
        found.private = is_private(body)
    if "gated" in body:
        found.gated = body["gated"]
    return answer({"private": found.private, "gated": found.gated})


def info(hub: HubServer, request: Request, repo: str, rev: str = "main") -> Response:
    found = visible(hub, request, repo)
    commit = commit_of(found, rev)
    detailed = request.flag("blobs")
    files = [sibling(path, file, detailed) for path, file in commit.files.items()]
    readme = commit.files.get("README.md")
    return answer({**facts(found, commit), "siblings": files, **card.facts(readme)})


def facts(repo: Repo, commit: Commit) -> dict[str, Any]:
    stored = {file.sha256: file.size for c in repo.commits.values() for file in c.files.values()}
    first = next(iter(repo.commits.values()))
    name = repo.name.removeprefix("datasets/")
    names = {"_id": identity(repo.name), "id": name}
    names |= {"modelId": name} if name == repo.name else {}
    state = {"private": repo.private, "gated": repo.gated, "disabled": repo.disabled}
    counts = {"downloads": 0, "likes": 0, "spaces": [], "usedStorage": sum(stored.values())}
    dates = {"lastModified": commit.date, "createdAt": first.date}
    return {**names, "author": repo.owner, "sha": commit.id, **state, **counts, **dates}


def sibling(path: str, file: File, detailed: bool) -> dict[str, Any]:
    if not detailed:
        return {"rfilename": path}
    large = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.content)}
    extra = {"lfs": large} if file.sha256 else {}
    return {"rfilename": path, "size": file.size, "blobId": file.oid, **extra}


def listing(hub: HubServer, request: Request) -> Response:
    """GET /api/models, with `author` and `search`."""
    user, query = caller(hub, request), request.query
    found = [
        {**facts(repo, commit_of(repo, "main")), **card.facts(None)}
        for name, repo in sorted(hub.repos.items())
        if not name.startswith("datasets/")
        if not repo.private or (user is not None and user.name == repo.owner)
        if repo.owner == query.get("author", repo.owner) and query.get("search", "") in name
    ]
    shown, link = page(request, hub.url, found, int(query.get("limit", "1000")))
    return answer(shown, headers=link)


def validate(hub: HubServer, request: Request) -> Response:
    errors, warnings = card.check(request.json().get("content", ""))
    found = {"errors": as_messages(errors), "warnings": as_messages(warnings)}
    return answer(found, 400 if errors else 200)


def as_messages(texts: list[str]) -> list[dict[str, str]]:
    return [{"message": text} for text in texts]


ROUTES = [
    route("GET", "/api/whoami-v2", whoami),
    route("POST", "/api/repos/create", create),
    route("DELETE", "/api/repos/delete", delete),
    route("POST", "/api/validate-yaml", validate),
    route("GET", "/api/models", listing),
    route("GET", "/api/models/{repo}", info),
    route("GET", "/api/models/{repo}/revision/{rev}", info),
    route("PUT", "/api/models/{repo}/settings", settings),
]
