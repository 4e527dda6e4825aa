"""Faults that the Hub of the tests has on demand, and what the real client makes of each."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from hub import HubServer
from hub.tiny import FILES, LARGE, REPO, WEIGHTS, push


@pytest.mark.parametrize("at", [0, 1, 0.5, -1])
def test_a_connection_cut_in_the_body(hub: HubServer, at: float) -> None:
    """The client begins again, from the start: it keeps whole 10 MiB only."""
    hub.seed(REPO, FILES)
    hub.faults.cut("GET /get/*", at=at)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    place = int(at * len(WEIGHTS)) if isinstance(at, float) else at % len(WEIGHTS)
    assert [entry.sent for entry in hub.requests("GET /get/*")] == [place, len(WEIGHTS)]


def test_a_cut_far_into_a_long_file(hub: HubServer) -> None:
    body = os.urandom(1000) * 25_000
    hub.seed(REPO, {LARGE: body})
    hub.faults.cut("GET /get/*", at=23_000_000)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == body
    second = hub.requests("GET /get/*")[1]
    assert (second.headers["Range"], second.status) == ("bytes=20971520-", 206)


def test_connections_that_break_another_way(hub: HubServer) -> None:
    """A reset in mid-file, or no answer to the first HEAD: errors at once, of the HTTP library."""
    hub.seed(REPO, FILES)
    hub.faults.cut("GET /get/*", at=0.5, reset=True)
    with pytest.raises(httpx.ReadError):
        hf_hub_download(REPO, LARGE)
    hub.faults.drop("HEAD *")
    with pytest.raises(httpx.RemoteProtocolError):
        hf_hub_download(REPO, LARGE)
    assert len(hub.requests()) == 3


def test_a_flipped_byte_goes_unnoticed(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.flip("GET /get/*", at=1000)
    changed = Path(hf_hub_download(REPO, LARGE)).read_bytes()
    assert changed != WEIGHTS and len(changed) == len(WEIGHTS)
    hf_hub_download(REPO, LARGE)
    assert len(hub.requests("GET /get/*")) == 1
    assert [bad["path"] for bad in HfApi().verify_repo_checksums(REPO).mismatches] == [LARGE]


@pytest.mark.parametrize("status", [429, 408])
def test_a_busy_cdn_is_asked_again(hub: HubServer, status: int) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /get/*", status)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert [entry.status for entry in hub.requests("GET /get/*")] == [status, 200]


def test_a_cdn_that_fails_is_not_asked_again(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /get/*", 503)
    with pytest.raises(HfHubHTTPError, match="503"):
        hf_hub_download(REPO, LARGE)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_an_upload_is_sent_again(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, {})
    hub.faults.status("PUT *", 503)
    hub.faults.hang_up("PUT *", at=1000, nth=2)
    push({LARGE: WEIGHTS})
    assert [entry.status for entry in hub.requests("PUT *")] == [503, 0, 200]
    assert hub.file(REPO, LARGE) == WEIGHTS


def test_a_commit_is_not_sent_again(hub: HubServer, signed_in: str) -> None:
    head = hub.seed(REPO, FILES)
    hub.faults.status("POST */commit/*", 503)
    with pytest.raises(HfHubHTTPError, match="503"):
        push({"config.json": b"{}"})
    assert hub.commit(REPO).id == head
    push({"config.json": b"{}"})


def test_a_head_that_fails(hub: HubServer) -> None:
    """Not cached: it is asked again. Cached: the cached file is taken, without a word."""
    hub.seed(REPO, FILES)
    hub.faults.status("HEAD *", 500)
    hf_hub_download(REPO, LARGE)
    assert [entry.status for entry in hub.requests("HEAD *")] == [500, 302]
    hub.seed(REPO, {LARGE: b"newer"})
    for status in (500, 401):
        hub.faults.status("HEAD *", status)
        assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_wrong_lengths(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.length("GET /get/*", by=-10)
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download(REPO, LARGE)
    hub.faults.replace("GET /get/*", b"a page to log in")
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download(REPO, LARGE)
    hub.clear()
    hub.faults.length("GET /get/*", by=10)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert len(hub.requests("GET /get/*")) == 2


def test_a_revision_that_moves_between_two_requests(hub: HubServer) -> None:
    """A regular file of a branch: the commit of the HEAD, the bytes of the GET."""
    old = hub.seed(REPO, FILES)
    hub.faults.call("GET */resolve/*", lambda: hub.seed(REPO, {"config.json": b'{"a": 2}'}))
    path = Path(hf_hub_download(REPO, "config.json"))
    assert path.parent.name == old and path.read_bytes() == b'{"a": 2}'
    again = hf_hub_download(REPO, "config.json", revision=old, force_download=True)
    assert Path(again).read_bytes() == FILES["config.json"]


def test_an_etag_with_a_path_in_it(hub: HubServer, tmp_path: Path) -> None:
    hub.seed(REPO, FILES)
    hub.faults.header("HEAD *", {"X-Linked-Etag": '"../../../outside"'})
    hf_hub_download(REPO, LARGE, cache_dir=tmp_path / "a" / "cache")
    assert (tmp_path / "a" / "outside").exists()


def test_a_redirect_to_another_host_brings_no_token(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, FILES)
    with HubServer() as other:
        url = other.publish("model.bin", WEIGHTS).replace("127.0.0.1", "localhost")
        hub.faults.redirect("GET */resolve/*", url)
        with pytest.raises(OSError, match="Consistency check failed"):
            hf_hub_download(REPO, "config.json")
        assert [(str(e), e.authorization) for e in other.log] == [
            ("GET /static/model.bin 200", None)
        ]


def test_a_slow_server(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.slow("GET /get/*", 0.05, chunk=50_000)
    start = time.monotonic()
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert time.monotonic() - start >= 0.25


def test_a_hub_that_is_down_and_comes_back(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hf_hub_download(REPO, "config.json")
    hub.stop()
    assert Path(hf_hub_download(REPO, "config.json")).read_bytes() == FILES["config.json"]
    with pytest.raises(Exception, match="refused"):
        HfApi().model_info(REPO)
    hub.start()
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_a_client_that_goes_away(hub: HubServer) -> None:
    """In the middle of what it sends, as when it is killed: this Hub has no error of its own."""
    for headers, body in (
        ("Content-Length: 1000", b"few"),
        ("Transfer-Encoding: chunked", b"3\r\nf"),
    ):
        with socket.create_connection(("127.0.0.1", hub.ports[0])) as connection:
            head = f"POST /api/repos/create HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert [entry.status for entry in hub.requests()] == [0, 0]


def test_chunked_bodies(hub: HubServer) -> None:
    content = b'{"content": "---\\nlicense: mit\\n---"}'
    answer = httpx.post(f"{hub.url}/api/validate-yaml", content=iter([content[:9], content[9:]]))
    assert answer.json() == {"errors": [], "warnings": []}


def test_faults_have_a_first_and_a_last_time(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /api/models/*", 418, nth=2, times=2)
    for _ in range(5):
        with suppress(HfHubHTTPError):
            HfApi().model_info(REPO)
    assert [entry.status for entry in hub.requests()] == [200, 418, 418, 200, 200]
