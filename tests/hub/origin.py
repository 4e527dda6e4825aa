"""One origin: an HTTP server on loopback that keeps the log and does what faults ask for."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
import traceback
import uuid
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from hub.faults import DROPPED, Fault
from hub.log import Entry, read
from hub.messages import Refusal, Request, Response, answer
from hub.routes import Route, dispatch

if TYPE_CHECKING:
    from hub.server import HubServer

HARD = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Origin(ThreadingHTTPServer):
    """Stopping it closes its connections too: a later server on the same port gets new ones."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hub: HubServer, port: int, routes: Iterable[Route]) -> None:
        self.hub, self.routes, self.connections = hub, list(routes), set[socket.socket]()
        super().__init__(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own asks for a host name

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # clients may go away
            self.hub.errors.append(traceback.format_exc())

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Origin

    def serve(self) -> None:
        hub, request = self.server.hub, Request(self.command, self.path, self.headers, b"")
        entry, faults = hub.log.begin(request), hub.faults.of(request)
        limits = [fault.upload for fault in faults if fault.upload is not None]
        self.receive(request, entry, min(limits, default=None))
        response = self.respond(request, faults)
        for fault in faults:
            if fault.after:
                fault.after(response)
        entry.status = response.status
        self.send(response, entry)
        if hub.log.watch:
            hub.log.watch(entry)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def receive(self, request: Request, entry: Entry, limit: int | None) -> None:
        """Read the body of the request, or no more than `limit` bytes of it."""
        size = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding"):
            request.body = self.chunks()
        else:
            request.body = self.rfile.read(size if limit is None else min(size, limit))
        entry.received, entry.body = len(request.body), read(request)
        if limit is not None or entry.received < size:
            raise ConnectionAbortedError

    def chunks(self) -> bytes:
        """A body that comes in chunks, each after a line with its size."""
        parts = [b""]
        while line := self.rfile.readline():
            parts.append(self.rfile.read(int(line.partition(b";")[0], 16)))
            self.rfile.readline()
            if not parts[-1]:
                return b"".join(parts)
        raise ConnectionAbortedError

    def respond(self, request: Request, faults: list[Fault]) -> Response:
        hub = self.server.hub
        try:
            early = [fault.before(request) for fault in faults if fault.before]
            for response in early:
                if response is not None:
                    return response
            with hub.lock:
                return dispatch(self.server.routes, hub, request)
        except Refusal as refusal:
            return refusal.response
        except Exception:
            hub.errors.append(traceback.format_exc())
            return answer({"error": "an error in the test's Hub"}, 500)

    def send(self, response: Response, entry: Entry) -> None:
        if response.cut == DROPPED:
            entry.status = 0
            return self.close(response.reset)
        self.server.hub.wait(response.pause)
        self.send_response(response.status)
        length = len(response.body) if response.claimed is None else response.claimed
        common = {"Content-Length": str(length), "X-Request-Id": uuid.uuid4().hex}
        for name, value in {**common, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(response, entry)
        if response.bent:
            self.close(response.reset)

    def send_body(self, response: Response, entry: Entry) -> None:
        body = memoryview(response.body)[: response.cut]
        for start in range(0, len(body), response.chunk):
            self.server.hub.wait(response.pause)
            part = body[start : start + response.chunk]
            entry.sent += len(part)
            self.wfile.write(part)

    def close(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: the log has it."""
