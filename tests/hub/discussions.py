"""Discussions and pull requests: open, list, show, comment, close, merge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hub.access import User, commit_of, visible, writable, writer
from hub.messages import Refusal, Request, Response, answer
from hub.routes import route
from hub.store import Pull, Repo

if TYPE_CHECKING:
    from hub.server import HubServer

PAGE = 50


def start(hub: HubServer, request: Request, repo: str) -> Response:
    user, found, body = writer(hub, request), visible(hub, request, repo), request.json()
    if body.get("pullRequest"):
        head = commit_of(found, "main")
        pull = found.request(body["title"], user.name, "main", head, "draft")
    else:
        pull = found.discuss(body["title"], user.name)
    comment = {"edited": False, "hidden": False, "latest": {"raw": body.get("description", "")}}
    add(pull, user, "comment", comment)
    url = f"{hub.url}/{repo}/discussions/{pull.number}"
    return answer({"num": pull.number, "pullRequest": pull.base is not None, "url": url})


def add(pull: Pull, user: User, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    number = f"{pull.number:012x}{len(pull.events):012x}"
    event = {"id": number, "type": kind, "createdAt": now(), "author": {"name": user.name}}
    pull.events.append({**event, "data": data})
    return pull.events[-1]


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


def listing(hub: HubServer, request: Request, repo: str) -> Response:
    found, query = visible(hub, request, repo), request.query
    wanted = [pull for pull in reversed(found.pulls.values()) if fits(pull, query)]
    first = int(query.get("p", "0")) * PAGE
    shown = [summary(found, pull) for pull in wanted[first : first + PAGE]]
    return answer({"discussions": shown, "count": len(wanted), "start": first})


def fits(pull: Pull, query: dict[str, str]) -> bool:
    kind = "discussion" if pull.base is None else "pull_request"
    state = "open" if pull.status in ("open", "draft") else "closed"
    return (
        query.get("type", "all") in ("all", kind)
        and query.get("status", "all") in ("all", state)
        and query.get("author", pull.author) == pull.author
    )


def summary(repo: Repo, pull: Pull) -> dict[str, Any]:
    created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(pull.seconds))
    known = {"num": pull.number, "title": pull.title, "author": {"name": pull.author}}
    place = {"repo": {"name": repo.name, "type": "model"}, "isPullRequest": pull.base is not None}
    return {**known, **place, "status": pull.status, "createdAt": created}


def details(hub: HubServer, request: Request, repo: str, number: str) -> Response:
    found = visible(hub, request, repo)
    pull = of(found, number)
    known = {**summary(found, pull), "events": pull.events}
    if pull.base is not None:
        changes = {"base": f"refs/heads/{pull.base}"}
        changes |= {"mergeCommitId": pull.merged} if pull.merged else {}
        known |= {"changes": changes, "filesWithConflicts": [], "diff": ""}
    return answer(known)


def of(repo: Repo, number: str) -> Pull:
    pull = repo.pulls.get(int(number)) if number.isdigit() else None
    if pull is None:
        raise Refusal(404, f"There is no discussion {number}", "EntryNotFound")
    return pull


def comment(hub: HubServer, request: Request, repo: str, number: str) -> Response:
    user, pull = writer(hub, request), of(visible(hub, request, repo), number)
    text = {"raw": request.json()["comment"]}
    data = {"edited": False, "hidden": False, "latest": text}
    return answer({"newMessage": add(pull, user, "comment", data)})


def status(hub: HubServer, request: Request, repo: str, number: str) -> Response:
    user, found = writer(hub, request), visible(hub, request, repo)
    pull, wanted = of(found, number), request.json()["status"]
    if user.name not in (found.owner, pull.author):
        raise Refusal(403, "Forbidden: only its author and the owner may change a discussion")
    pull.status = wanted
    return answer({"newStatus": add(pull, user, "status-change", {"status": wanted})})


def merge(hub: HubServer, request: Request, repo: str, number: str) -> Response:
    """A commit on the branch, of what the pull request changes."""
    found, user = writable(hub, request, repo), writer(hub, request)
    pull = of(found, number)
    if pull.base is None or pull.status not in ("open", "draft"):
        raise Refusal(400, "There is nothing to merge")
    commit = found.commit(pull.base, changes(found, pull), pull.title, "", user.name)
    pull.status, pull.merged = "merged", commit.id
    return answer({"newStatus": add(pull, user, "status-change", {"status": "merged"})})


def changes(repo: Repo, pull: Pull) -> dict[str, Any]:
    """What the pull request's head has changed since it left the branch."""
    main = {commit.id for commit in repo.history(pull.base or "main")}
    past = list(repo.history(pull.reference))
    fork = next(commit for commit in past if commit.id in main)
    paths = {*past[0].files, *fork.files}
    return {p: past[0].files.get(p) for p in paths if past[0].files.get(p) != fork.files.get(p)}


ROUTES = [
    route("GET", "/api/models/{repo}/discussions", listing),
    route("POST", "/api/models/{repo}/discussions", start),
    route("GET", "/api/models/{repo}/discussions/{number}", details),
    route("POST", "/api/models/{repo}/discussions/{number}/comment", comment),
    route("POST", "/api/models/{repo}/discussions/{number}/status", status),
    route("POST", "/api/models/{repo}/discussions/{number}/merge", merge),
]
