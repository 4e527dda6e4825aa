"""What was asked, in order of arrival."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from hub.messages import Request

KEPT = ("Authorization", "Range", "If-Range", "Accept-Encoding", "Content-Type", "User-Agent")
NOT_OF_INTEREST = "/api/agent-harnesses"  # asked once a day, for the client's user agent


@dataclass
class Entry:
    """One request. `status` is 0 until it is known; `received` and `sent` count bytes of bodies."""

    method: str
    path: str
    host: str
    headers: dict[str, str]
    body: object = None
    query: dict[str, str] = field(default_factory=dict)
    status: int = 0
    received: int = 0
    sent: int = 0

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Log(list[Entry]):
    """`watch` is called with every request that has been answered."""

    watch: Callable[[Entry], object] | None = None

    def begin(self, request: Request) -> Entry:
        headers = {name: request.headers[name] for name in KEPT if name in request.headers}
        host = request.headers.get("Host", "")
        entry = Entry(request.method, request.path, host, headers, query=request.query)
        self.append(entry)
        return entry

    def matching(self, pattern: str) -> list[Entry]:
        """The requests whose "METHOD path" matches a shell pattern, `*` being any text at all."""
        return [
            entry
            for entry in self
            if entry.path != NOT_OF_INTEREST
            and fnmatch.fnmatchcase(f"{entry.method} {entry.path}", pattern)
        ]


def read(request: Request) -> object:
    """The body of a request, where it is JSON or lines of JSON."""
    kind = request.headers.get("Content-Type", "")
    try:
        if "ndjson" in kind:
            return [json.loads(line) for line in request.body.splitlines() if line]
        return json.loads(request.body) if "json" in kind and request.body else None
    except ValueError:
        return None
