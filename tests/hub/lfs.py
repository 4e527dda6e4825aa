"""Git LFS on the side of the Hub: the batch that hands out addresses, and the check afterwards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hub.access import readable, visible, writer
from hub.messages import Refusal, Request, Response, answer
from hub.routes import route

if TYPE_CHECKING:
    from hub.server import HubServer

KIND = {"Content-Type": "application/vnd.git-lfs+json"}


def batch(hub: HubServer, request: Request, repo: str) -> Response:
    body = request.json()
    if body.get("operation") == "upload":
        writer(hub, request)
        visible(hub, request, repo)
        objects = [upload(hub, repo, asked["oid"], asked["size"]) for asked in body["objects"]]
    else:
        readable(hub, request, repo)
        objects = [download(hub, repo, asked["oid"], asked["size"]) for asked in body["objects"]]
    return answer({"transfer": "basic", "objects": objects}, headers=KIND)


def upload(hub: HubServer, repo: str, oid: str, size: int) -> dict[str, Any]:
    """Where to send an object: in parts where it is long, nowhere where it is there already."""
    if hub.size_of(oid) is not None:
        return {"oid": oid, "size": size}
    verify = {"href": f"{hub.url}/{repo}.git/info/lfs/verify"}
    whole = {"href": hub.cdn.sign("PUT", f"/put/{repo}/{oid}")}
    send = parts(hub, repo, oid, size) if size > hub.part_size else whole
    return {"oid": oid, "size": size, "actions": {"upload": send, "verify": verify}}


def parts(hub: HubServer, repo: str, oid: str, size: int) -> dict[str, Any]:
    count = math.ceil(size / hub.part_size)
    header = {
        f"{number:05d}": hub.cdn.sign("PUT", f"/put/{repo}/{oid}/{number}")
        for number in range(1, count + 1)
    }
    completion = hub.cdn.sign("POST", f"/api/complete_multipart/{repo}/{oid}", hub.url)
    return {"href": completion, "header": {"chunk_size": str(hub.part_size), **header}}


def download(hub: HubServer, repo: str, oid: str, size: int) -> dict[str, Any]:
    if hub.size_of(oid) is None:
        return {"oid": oid, "size": size, "error": {"code": 404, "message": "Object not found"}}
    href = hub.cdn.sign("GET", f"/get/{repo}/{oid}/{oid}")
    return {"oid": oid, "size": size, "actions": {"download": {"href": href}}}


def complete(hub: HubServer, request: Request, repo: str, oid: str) -> Response:
    """Put the parts together. The address is signed; no token is sent."""
    hub.cdn.check(request, "POST")
    told = request.json()
    hub.cdn.join(oid, [part["etag"] for part in told["parts"]])
    return answer({"success": True})


def verify(hub: HubServer, request: Request, repo: str) -> Response:
    """Only now is the object there, if it is what it was said to be."""
    writer(hub, request)
    body = request.json()
    oid, size = body["oid"], body["size"]
    if hub.size_of(oid) is None and not hub.cdn.accept(oid, size):
        raise Refusal(400, f"The uploaded object is not {oid} of {size} bytes")
    return answer({})


ROUTES = [
    route("POST", "/{repo}.git/info/lfs/objects/batch", batch),
    route("POST", "/{repo}.git/info/lfs/verify", verify),
    route("POST", "/api/complete_multipart/{repo}/{oid}", complete),
]
