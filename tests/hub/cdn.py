"""The other origin, where large files go to and come from: signed addresses, no tokens.

It has another host name than the Hub (`localhost`, not `127.0.0.1`), since clients tell by the name
where a token may go.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from hub.files import sha256
from hub.messages import Refusal, Request, Response, content
from hub.routes import route

if TYPE_CHECKING:
    from hub.server import HubServer

VALID = 3600


class Cdn:
    """Signatures, and uploads that nobody has verified yet."""

    def __init__(self, url: str, objects: dict[str, bytes]) -> None:
        self.url, self.objects = url, objects
        self.pending: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}  # etag -> content

    def sign(self, method: str, path: str, url: str | None = None) -> str:
        until = int(time.time()) + VALID
        signature = self.signature(method, path, until)
        return f"{url or self.url}{path}?X-Amz-Expires={until}&X-Amz-Signature={signature}"

    def signature(self, method: str, path: str, until: int) -> str:
        text = f"{method} {path} {until}".encode()
        return hmac.new(b"a secret of the test", text, hashlib.sha256).hexdigest()

    def check(self, request: Request, method: str) -> None:
        """A signature is for one method, one path and one hour."""
        until = int(request.query.get("X-Amz-Expires", "0"))
        right = self.signature(method, request.path, until)
        if request.query.get("X-Amz-Signature") != right or until < time.time():
            raise Refusal(403, "SignatureDoesNotMatch")

    def join(self, oid: str, etags: list[str]) -> None:
        if any(etag not in self.parts for etag in etags):
            raise Refusal(400, "InvalidPart")
        self.pending[oid] = b"".join(self.parts.pop(etag) for etag in etags)

    def accept(self, oid: str, size: int) -> bool:
        """Keep a pending upload, if it has the size and the hash it should have."""
        body = self.pending.pop(oid, None)
        if body is None or len(body) != size or sha256(body) != oid:
            return False
        self.objects[oid] = body
        return True


def get(hub: HubServer, request: Request, repo: str, oid: str, path: str) -> Response:
    hub.cdn.check(request, "GET")
    body = hub.object(oid)
    if body is None:
        raise Refusal(404, "NoSuchKey")
    return content(body, f'"{oid}"', request, {"Content-Type": "application/octet-stream"})


def put(hub: HubServer, request: Request, repo: str, oid: str) -> Response:
    hub.cdn.check(request, "PUT")
    hub.cdn.pending[oid] = request.body
    return Response(200, b"", {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def put_part(hub: HubServer, request: Request, repo: str, oid: str, number: str) -> Response:
    hub.cdn.check(request, "PUT")
    etag = f'"{oid[:16]}-{number}-{hashlib.md5(request.body).hexdigest()}"'
    hub.cdn.parts[etag] = request.body
    return Response(200, b"", {"ETag": etag})


ROUTES = [
    route("GET", "/get/{repo}/{oid}/{path}", get),
    route("PUT", "/put/{repo}/{oid}", put),
    route("PUT", "/put/{repo}/{oid}/{number}", put_part),
]
