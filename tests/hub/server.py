"""HubServer: a Hub and its two origins, the site and the CDN, on loopback."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from hub import cdn, commits, datasets, discussions, downloads, lfs, refs, repos, trees, xet
from hub.cdn import Cdn
from hub.log import Entry
from hub.origin import Origin
from hub.state import State

SITE = [
    *datasets.ROUTES,
    *repos.ROUTES,
    *trees.ROUTES,
    *refs.ROUTES,
    *commits.ROUTES,
    *discussions.ROUTES,
    *lfs.ROUTES,
    *xet.ROUTES,
    *downloads.ROUTES,
]


class HubServer(State):
    """A Hub to be used in `with`, or with `start` and `stop`; `options` are those of `State`.

    Started again, it has the same ports, and still knows all it knew.
    """

    def __init__(self, port: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.ports, self.origins = [port, 0], list[Origin]()
        self.stopping = threading.Event()
        self.cdn = Cdn("", self.objects)

    def start(self) -> HubServer:
        self.stopping.clear()
        for number, routes in enumerate((SITE, cdn.ROUTES)):
            self.origins.append(Origin(self, self.ports[number], routes))
            self.ports[number] = self.origins[number].server_address[1]
        self.cdn.url = f"http://localhost:{self.ports[1]}"
        return self

    def stop(self) -> None:
        self.stopping.set()
        while self.origins:
            self.origins.pop().stop()

    def __enter__(self) -> HubServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def wait(self, seconds: float) -> None:
        """Let time pass; not beyond the end of this server."""
        if seconds:
            self.stopping.wait(seconds)

    def publish(self, name: str, body: bytes) -> str:
        """Serve a plain file, that belongs to no repository; its address."""
        self.static[name] = body
        return f"{self.url}/static/{name}"

    def leaks(self) -> list[Entry]:
        """The requests that brought a token to the CDN."""
        host = self.cdn.url.removeprefix("http://")
        return [entry for entry in self.log if entry.host == host and entry.authorization]

    def environment(self, home: Path, token: str | None = "hf_write") -> dict[str, str]:
        """The variables with which a new process talks to this Hub and to no other."""
        return environment(self.url, home, token, xet=self.xet is not None)


def environment(url: str, home: Path, token: str | None, *, xet: bool = False) -> dict[str, str]:
    """Every variable is set, to nothing if need be, so that none is left of the parent's."""
    return {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_TOKEN": token or "",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
        "HF_HUB_OFFLINE": "",
        "NO_PROXY": "127.0.0.1,localhost",
    }
