"""A server that answers with whatever bytes a test wants, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Answer = Callable[[socket.socket, str], None]


@dataclass
class RawServer:
    """`answer` takes the connection and the head of a request, as text, and writes to the first."""

    answer: Answer
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self, path: str = "/lenet.safetensors", who: str = "") -> str:
        return f"http://{who}127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def raw_server(answer: Answer) -> Iterator[RawServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(answer, port=listener.getsockname()[1])
        threading.Thread(target=_serve, args=(listener, server), daemon=True).start()
        yield server
        server.over.set()


def sending(*parts: bytes) -> Answer:
    """An answer of these bytes, then the end of the connection."""
    return lambda connection, _: [connection.sendall(part) for part in parts] and None


def whole(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _serve(listener: socket.socket, server: RawServer) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_talk, args=(connection, server), daemon=True).start()


def _talk(connection: socket.socket, server: RawServer) -> None:
    with connection, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
            head += more
        server.asked.append(head.decode("latin-1"))
        server.answer(connection, server.asked[-1])
