"""One request: whom it goes to, with whose password, and how long it may take.

Nothing leaves this machine in the clear, also not by a redirect or a proxy. A password goes to the
host that it was given for; it comes from the address, else from `~/.netrc` (or NETRC).
"""

from __future__ import annotations

import contextlib
import logging
import netrc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from huggingface_hub.utils import httpx

from zoo_core.errors import SourceError
from zoo_core.hub.transport import LOOPBACK
from zoo_core.humanize import readable_name, without_credentials
from zoo_core.weights.addresses import public

CONNECTING = 10.0  # seconds, with TLS
ANSWERING = 20.0  # seconds until the answer begins, all in all
SILENCE = 20.0  # seconds without a byte
PATIENCE = 3.0  # seconds, then we say what is waited for
REDIRECTS = 10


class NoAnswer(Exception):
    """Raised where a server did not begin to answer in time."""


def shown(url: str) -> str:
    """An address for a message: no password, no control character, and not of any length."""
    return readable_name(public(url))[:500]


def parsed(url: str) -> httpx.URL:
    """The address that is asked. Raises SourceError for what is none, and for one in the clear."""
    try:
        address = httpx.URL(url)
        if not address.host or not 0 < (address.port or 443) < 65536:
            raise ValueError("it has no host, or no such port")
        address.host.encode("idna")
    except (httpx.InvalidURL, ValueError) as error:
        why = "" if "@" in url else f": {readable_name(error)}"  # it may quote a password
        raise SourceError(f"{shown(url)} is no address{why}.") from None
    refuse_plain_http(address, shown(url))
    return address


def refuse_plain_http(address: httpx.URL, told: str) -> None:
    """Bytes that travel in the clear can be changed on their way; on this machine they cannot."""
    if address.scheme != "https" and not (address.scheme == "http" and address.host in LOOPBACK):
        raise SourceError(
            f"{told} is not encrypted, and zoo fetches nothing that way.", hint="Write https://."
        )


@contextlib.contextmanager
def answered(
    url: str, headers: Mapping[str, str], waiting: Callable[[str], None]
) -> Iterator[httpx.Response]:
    """The answer to a GET, its body not yet read. `waiting`: takes what is waited for.

    Raises SourceError, NoAnswer, and what httpx raises.
    """
    address = parsed(url)
    plain = address.copy_with(userinfo=b"", fragment=None)
    with _untold_in_logs(), _client() as client:
        deadline = _Deadline(address.host, waiting)
        request = client.build_request(
            "GET", plain, headers=headers, extensions={"trace": deadline.trace}
        )
        try:
            with deadline:
                response = _after_redirects(client, request, _login(address), shown(url))
        except httpx.TransportError as error:
            if deadline.over or isinstance(error, httpx.TimeoutException):
                waited = f"{deadline.waited:.0f} seconds"
                raise NoAnswer(f"{address.host} does not answer ({waited})") from error
            raise
        with contextlib.closing(response):
            yield response


def _after_redirects(
    client: httpx.Client, request: httpx.Request, login: httpx.Auth | None, told: str
) -> httpx.Response:
    """The client takes the password out of a request that goes on to another host."""
    response = client.send(request, stream=True, auth=login)
    for _ in range(REDIRECTS):
        following = response.next_request
        if following is None:
            return response
        response.close()
        refuse_plain_http(following.url, f"{shown(str(following.url))}, where {told} leads,")
        response = client.send(following, stream=True)
    response.close()
    raise SourceError(f"{told} leads from one address to the next, more than {REDIRECTS} times.")


def _client() -> httpx.Client:
    """A client that takes no proxy for this machine: what goes there is not encrypted."""
    hosts = [f"[{host}]" if ":" in host else host for host in LOOPBACK]
    timeout = httpx.Timeout(SILENCE, connect=CONNECTING)
    return httpx.Client(timeout=timeout, mounts={f"all://{host}": None for host in hosts})


def _login(address: httpx.URL) -> httpx.Auth | None:
    if address.userinfo:
        return httpx.BasicAuth(address.username, address.password)
    try:
        known = netrc.netrc(os.environ.get("NETRC")).authenticators(address.host)
    except (OSError, netrc.NetrcParseError, UnicodeError):
        return None
    return httpx.BasicAuth(known[0] or "", known[2] or "") if known else None


@contextlib.contextmanager
def _untold_in_logs() -> Iterator[None]:
    """The client logs each address that it asks, and each that it is sent to."""

    def cleaned(record: logging.LogRecord) -> bool:
        record.msg, record.args = without_credentials(record.getMessage()), ()
        return True

    version = httpx.__name__.removeprefix("httpx")
    names = (httpx.__name__, f"httpcore{version}.http11")
    logs = [logging.getLogger(name) for name in names]
    for log in logs:
        log.addFilter(cleaned)
    try:
        yield
    finally:
        for log in logs:
            log.removeFilter(cleaned)


class _Deadline:
    """Ends the connection of a request that is not answered in time.

    The client's own limits are for one read each, so a byte a second would keep it for ever.
    """

    def __init__(self, host: str, waiting: Callable[[str], None]) -> None:
        self.over, self._begin = False, time.monotonic()
        self._connection: socket.socket | None = None
        told = f"Waiting for {readable_name(host)} to answer, for up to {ANSWERING:.0f} seconds"
        self._timers = (
            threading.Timer(PATIENCE, waiting, (told,)),
            threading.Timer(ANSWERING, self._end),
        )

    @property
    def waited(self) -> float:
        return time.monotonic() - self._begin

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Called by the client: notes each connection that it makes."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connection = facts["return_value"].get_extra_info("socket")
            if self.over:
                self._end()

    def _end(self) -> None:
        self.over = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        for timer in self._timers:
            timer.daemon = True
            timer.start()

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
