"""A server that does not answer, or hardly: an error after a stated time, and a line before it."""

from __future__ import annotations

import socket
import time

import pytest
from support.fetching import lenet, own_places, safetensors, weights
from support.raw_server import raw_server, whole

import zoo_core as zoo
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

BODY = safetensors(lenet())


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, in fractions of a second."""
    for name, seconds in {
        "CONNECTING": 0.5,
        "ANSWERING": 1.0,
        "SILENCE": 0.8,
        "PATIENCE": 0.2,
    }.items():
        monkeypatch.setattr(f"zoo_https.asking.{name}", seconds)
    monkeypatch.setattr("zoo_https.transfer.WINDOW", 0.8)


def silent(connection: socket.socket, _: str) -> None:
    connection.recv(1)


def byte_by_byte(body: bytes, before: bytes = b""):
    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(before)
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return answer


def stopping(connection: socket.socket, _: str) -> None:
    connection.sendall(whole(BODY)[:5000])
    connection.recv(1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (silent, "127.0.0.1 does not answer"),
        (byte_by_byte(whole(BODY)), "127.0.0.1 does not answer"),
        (byte_by_byte(BODY, before=whole(BODY)[: -len(BODY)]), r"only \d+ bytes came in 1 second"),
        (stopping, "not a byte came in 20 seconds"),
    ],
    ids=["no answer", "headers by byte", "body by byte", "stops"],
)
def test_a_server_that_is_too_slow_is_one_error(
    capfd: pytest.CaptureFixture[str], answer, fault: str
) -> None:
    begin = time.monotonic()
    with raw_server(answer) as server, pytest.raises(zoo.SourceError, match=fault):
        local_file(weights(server.url()))
    assert time.monotonic() - begin < 5
    if "answer" in fault:
        assert "Waiting for 127.0.0.1 to answer, for up to" in capfd.readouterr().err


def test_a_server_that_speaks_no_tls_is_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begin = time.monotonic()
        with pytest.raises(zoo.SourceError, match=r"127.0.0.1 does not answer"):
            local_file(weights(f"https://127.0.0.1:{listener.getsockname()[1]}/a.safetensors"))
        assert time.monotonic() - begin < 5
