"""A request, a response, and a refusal with the headers by which the client tells errors apart."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

RANGED = {"Accept-Ranges": "bytes"}
ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")  # others may be ignored, and are


@dataclass
class Request:
    """`target` is what stood in the request line; `path` is its part before the `?`, as sent."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2]))

    def json(self) -> dict[str, Any]:
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, "The body is not JSON") from None

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass
class Response:
    """What is sent: and, below, how a fault bends it.

    `cut` counts the bytes of the body after which the connection is closed; `reset` closes it
    the hard way. `claimed` replaces the true Content-Length. `pause` seconds pass before
    each `chunk` bytes.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    claimed: int | None = None
    pause: float = 0.0
    chunk: int = 1 << 20

    @property
    def bent(self) -> bool:
        return self.cut is not None or self.claimed is not None


class Refusal(Exception):
    """Ends the handling of a request with an error."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.response = answer({"error": message}, status)
        plain = message.encode("ascii", "replace").decode().replace("\n", " ")
        self.response.headers |= {"X-Error-Message": plain, **headers}
        if code:
            self.response.headers["X-Error-Code"] = code


def answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status, json.dumps(data).encode(), {**kind, **(headers or {})})


def content(body: bytes, etag: str, request: Request, headers: Mapping[str, str]) -> Response:
    """A file, or the part of it that the request's Range asks for."""
    common = {**RANGED, "ETag": etag, **headers}
    asked = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range", etag) != etag:
        return Response(200, body, common)
    span = interval(asked[1], asked[2], len(body))
    if not span:
        return Response(416, b"", {**common, "Content-Range": f"bytes */{len(body)}"})
    place = {"Content-Range": f"bytes {span.start}-{span.stop - 1}/{len(body)}"}
    return Response(206, body[span.start : span.stop], {**common, **place})


def interval(first: str, last: str, size: int) -> range:
    """The bytes of `3-`, `3-7` or, as the last five, `-5`; empty where there are none."""
    if not first:
        return range(max(0, size - int(last or 0)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))
