"""Faults on demand: for a method and path, from the nth such request on, a number of times.

    hub.faults.cut("GET /get/*", at=0.5)                    # half of the file, once
    hub.faults.status("GET */resolve/*", 503, times=2)      # then fine
    hub.faults.call("GET */resolve/*", push_something)      # just before the first GET is answered

A pattern is a shell pattern for "METHOD path"; `*` is any text, slashes too. Every function takes
`nth`, the request that is the first to be hit (1), and `times`, how many are hit (1; None: all).
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.messages import Request, Response, answer

Before = Callable[[Request], Response | None]
After = Callable[[Response], None]
DROPPED = -1
LIMITS = {
    "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
    "RateLimit": '"api";r=0;t=0',
    "Retry-After": "0",
}


@dataclass
class Fault:
    pattern: str
    nth: int
    times: int | None
    before: Before | None = None
    after: After | None = None
    upload: int | None = None
    seen: int = 0

    def strikes(self) -> bool:
        """Count one more request; whether it is to be hit."""
        self.seen += 1
        late = self.times is not None and self.seen >= self.nth + self.times
        return self.seen >= self.nth and not late


class Faults(list[Fault]):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def of(self, request: Request) -> list[Fault]:
        """The faults that hit this request."""
        key = f"{request.method} {request.path}"
        with self.lock:
            fitting = [fault for fault in self if fnmatch.fnmatchcase(key, fault.pattern)]
            return [fault for fault in fitting if fault.strikes()]

    def add(self, pattern: str, nth: int = 1, times: int | None = 1, **action: Any) -> Fault:
        fault = Fault(pattern, nth, times, **action)
        with self.lock:
            self.append(fault)
        return fault

    def cut(self, pattern: str, at: float, *, reset: bool = False, **when: Any) -> Fault:
        """Close the connection after `at` bytes of the body.

        `at`: a float is that share of the body, a negative number counts from its end. `reset`:
        close it as a crash does, so that the client may not even get what was sent.
        """

        def after(response: Response) -> None:
            size = len(response.body)
            place = int(at * size) if isinstance(at, float) else int(at)
            response.cut = place if place >= 0 else max(0, size + place)
            response.reset = reset

        return self.add(pattern, **when, after=after)

    def drop(self, pattern: str, *, reset: bool = False, **when: Any) -> Fault:
        """Close the connection without a word."""
        return self.bend(pattern, when, cut=DROPPED, reset=reset)

    def hang_up(self, pattern: str, at: int, **when: Any) -> Fault:
        """Close the connection after `at` bytes of the request's body, which is not answered."""
        return self.add(pattern, **when, upload=at)

    def slow(self, pattern: str, pause: float, *, chunk: int = 1 << 16, **when: Any) -> Fault:
        """`pause` seconds before the headers and before each `chunk` bytes of the body."""
        return self.bend(pattern, when, pause=pause, chunk=chunk)

    def replace(self, pattern: str, body: bytes, **when: Any) -> Fault:
        """Another body, and the Content-Length that is right for it."""
        return self.bend(pattern, when, body=body)

    def bend(self, pattern: str, when: dict[str, Any], **fields: Any) -> Fault:
        """Change fields of the true answer."""

        def after(response: Response) -> None:
            for name, value in fields.items():
                setattr(response, name, value)

        return self.add(pattern, **when, after=after)

    def flip(self, pattern: str, at: int = -1, **when: Any) -> Fault:
        """Another byte at a place of the body."""

        def after(response: Response) -> None:
            changed = bytearray(response.body)
            changed[at] ^= 0xFF
            response.body = bytes(changed)

        return self.add(pattern, **when, after=after)

    def length(self, pattern: str, by: int, **when: Any) -> Fault:
        """A Content-Length that is wrong by so many bytes, and the true body."""

        def after(response: Response) -> None:
            response.claimed = len(response.body) + by

        return self.add(pattern, **when, after=after)

    def header(self, pattern: str, headers: Mapping[str, str], **when: Any) -> Fault:
        """Other headers in the true answer, such as an ETag with a path in it."""
        return self.add(pattern, **when, after=lambda response: response.headers.update(headers))

    def no_ranges(self, pattern: str, **when: Any) -> Fault:
        """Send the whole file where a part is asked for, as some servers do."""

        def before(request: Request) -> None:
            del request.headers["Range"]

        return self.add(pattern, **when, before=before)

    def call(self, pattern: str, function: Callable[[], object], **when: Any) -> Fault:
        """Call a function just before the request is answered."""

        def before(_: Request) -> None:
            function()

        return self.add(pattern, **when, before=before)

    def status(
        self,
        pattern: str,
        status: int,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **when: Any,
    ) -> Fault:
        """Answer with a status, and an error in JSON if no body is given.

        A 429 asks for no more than a moment's patience, unless `headers` say something else.
        """
        known = {**(LIMITS if status == 429 else {}), **(headers or {})}

        def before(_: Request) -> Response:
            plain = answer({"error": f"a fault of the test: {status}"}, status, known)
            return plain if body is None else Response(status, body, dict(known))

        return self.add(pattern, **when, before=before)

    def redirect(self, pattern: str, url: str, *, status: int = 302, **when: Any) -> Fault:
        return self.status(pattern, status, body=b"", headers={"Location": url}, **when)
