"""Downloads: /{repo}/resolve/{revision}/{path} itself, or the way to the CDN; plain files too."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from hub import git
from hub.access import commit_of, readable
from hub.files import File
from hub.messages import RANGED, Refusal, Request, Response, content
from hub.routes import route
from hub.store import Commit

if TYPE_CHECKING:
    from hub.server import HubServer


def resolve(hub: HubServer, request: Request, repo: str, rev: str, path: str) -> Response:
    commit = commit_of(readable(hub, request, repo), rev)
    file = commit.files.get(path)
    common = {"X-Repo-Commit": commit.id}
    if file is None:
        raise Refusal(404, "Entry not found", "EntryNotFound", **common)
    common |= {"Content-Disposition": disposition(path)}
    if file.sha256 is None:
        return content(file.content, f'"{file.oid}"', request, common)
    return linked(hub, repo, commit, path, file, common)


def disposition(path: str) -> str:
    name = urllib.parse.quote(path.rpartition("/")[2])
    return f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"


def linked(
    hub: HubServer, repo: str, commit: Commit, path: str, file: File, common: dict[str, str]
) -> Response:
    """The redirect to a large file: all that the client needs to know is in its headers."""
    assert file.sha256 is not None
    url = hub.cdn.sign(
        "GET", f"/get/{repo.removeprefix('datasets/')}/{file.sha256}/{urllib.parse.quote(path)}"
    )
    facts = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size), **RANGED}
    hash_ = hub.xet_hash(file.sha256)
    if hash_:
        token = f"{hub.url}/api/models/{repo}/xet-read-token/{commit.id}"
        facts |= {"X-Xet-Hash": hash_, "Link": f'<{token}>; rel="xet-auth"'}
    return Response(
        302, f"Found. Redirecting to {url}".encode(), {**common, **facts, "Location": url}
    )


def static(hub: HubServer, request: Request, path: str) -> Response:
    """A file that belongs to no repository, as any web server has it."""
    if path not in hub.static:
        raise Refusal(404, "Not found")
    body = hub.static[path]
    return content(
        body, f'"{git.blob(body)}"', request, {"Content-Type": "application/octet-stream"}
    )


ROUTES = [
    route("GET", "/{repo}/resolve/{rev}/{path}", resolve),
    route("GET", "/static/{path}", static),
]
