"""Who may see and change what, and how the Hub says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.messages import Refusal, Request
from hub.store import Commit, Repo

if TYPE_CHECKING:
    from hub.server import HubServer


@dataclass(frozen=True)
class User:
    name: str
    role: str  # of the token: "read" or "write"


def caller(hub: HubServer, request: Request) -> User | None:
    """Whose token the request carries; a token that nobody has is refused everywhere."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    token = header.removeprefix("Bearer ")
    if token not in hub.tokens:
        raise Refusal(401, "Invalid credentials in Authorization header")
    return User(*hub.tokens[token])


def visible(hub: HubServer, request: Request, name: str) -> Repo:
    """A repository the caller may know of. Others look as if they did not exist."""
    user, repo = caller(hub, request), hub.repos.get(name)
    hidden = repo is None or (repo.private and (user is None or user.name != repo.owner))
    if repo is None or hidden:
        if user is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    return repo


def readable(hub: HubServer, request: Request, name: str) -> Repo:
    """A repository whose files the caller may read."""
    user, repo = caller(hub, request), visible(hub, request, name)
    if repo.disabled:
        raise Refusal(403, "Access to this resource is disabled.")
    if repo.gated and (user is None or user.name not in {repo.owner, *repo.admitted}):
        raise Refusal(401 if user is None else 403, restricted(hub, repo, user), "GatedRepo")
    return repo


def restricted(hub: HubServer, repo: Repo, user: User | None) -> str:
    if user is None:
        return (
            f"Access to {called(repo)} is restricted. You must have access to it and be "
            "authenticated to access it. Please log in."
        )
    return (
        f"Access to {called(repo)} is restricted and you are not in the authorized list. "
        f"Visit {hub.url}/{repo.name} to ask for access."
    )


def called(repo: Repo) -> str:
    name = repo.name.removeprefix("datasets/")
    return f"model {name}" if name == repo.name else f"dataset {name}"


def writer(hub: HubServer, request: Request, *, api: bool = True) -> User:
    """The caller, with a token that may write."""
    user = caller(hub, request)
    if user is None:
        raise Refusal(401, "Invalid username or password.", "RepoNotFound" if api else None)
    if user.role != "write":
        raise Refusal(403, "Forbidden: this token has no permission to write")
    return user


def writable(
    hub: HubServer, request: Request, name: str, revision: str = "main", pull: bool = False
) -> Repo:
    """A repository the caller may commit to, if need be by a pull request."""
    user, repo = writer(hub, request), visible(hub, request, name)
    own = [p for p in repo.pulls.values() if p.reference == revision and p.author == user.name]
    if user.name != repo.owner and not pull and not own:
        raise Refusal(403, f"Forbidden: you have no rights to write to {name}")
    return repo


def commit_of(repo: Repo, revision: str) -> Commit:
    commit = repo.find(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit
