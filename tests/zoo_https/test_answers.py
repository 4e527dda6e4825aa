"""What a server may answer: only what was read as a whole file of weights is kept and pinned."""

from __future__ import annotations

import gzip
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from support.fetching import lenet, own_places, pickled, safetensors, same, weights
from support.raw_server import raw_server, sending, whole

import zoo_core as zoo
from zoo_core.weights.lock import read_lock, user_lock
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

BODY = safetensors(lenet())
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>Log in to this network</title></html>"
NOTHING = (
    ("a page", whole(PAGE, "Content-Type: text/html"), "is no file of weights: it is a web page"),
    ("text", whole(b"Please log in first, then try it again."), "something else"),
    ("JSON", whole(b'{"error": "please log in"}'), "something else"),
    ("empty", whole(b""), "it is empty"),
    ("204", whole(b"", status="204 No Content", length=False), "answers 204 and sends none"),
    ("302", whole(b"", status="302 Found"), "answers 302 and sends none"),
    ("300", whole(PAGE, status="300 Multiple Choices"), "answers 300 and sends none"),
    ("a part", whole(BODY[9:], "Content-Range: bytes 9-99/100", status="206 Partial"), "not fit"),
    ("cut", whole(BODY[:-9], length=False), "not a whole safetensors file"),
    ("cut at the header", whole(BODY[:50], length=False), "not a whole safetensors file"),
    ("more", whole(BODY + b"x" * 9, length=False), "does not end"),
    ("compressed", whole(gzip.compress(BODY), "Content-Encoding: gzip"), "comes compressed .gzip"),
    ("a pickle", whole(pickled(lenet())), "it is a pickle file"),
    ("401", whole(b"", status="401 No"), "is not for everybody .401.*netrc"),
)


@pytest.mark.parametrize(("answer", "fault"), [c[1:] for c in NOTHING], ids=[c[0] for c in NOTHING])
def test_what_is_no_file_of_weights_is_neither_kept_nor_pinned(
    own_places: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, fault: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with raw_server(sending(answer)) as server:
        with pytest.raises(zoo.WeightsError, match=fault):
            zoo.create("lenet5", pretrained=server.url())
        assert not list((own_places / "cache").rglob("lenet.safetensors"))
        assert read_lock(user_lock()) == {}
        server.answer = sending(whole(BODY))
        assert same(zoo.create("lenet5", pretrained=server.url()), lenet())


@pytest.mark.parametrize("body", [PAGE, pickled(lenet())[:-200], b"PK\x03\x04nothing"])
def test_a_pth_that_is_none_is_neither_kept_nor_pinned(own_places: Path, body: bytes) -> None:
    with raw_server(sending(whole(body, length=False))) as server:
        with pytest.raises(zoo.WeightsError):
            zoo.create("lenet5", pretrained=server.url("/lenet.pth"))
        assert not list((own_places / "cache").rglob("lenet.pth"))
        assert read_lock(user_lock()) == {}
        server.answer = sending(whole(pickled(lenet())))
        assert same(zoo.create("lenet5", pretrained=server.url("/lenet.pth")), lenet())


def test_a_page_in_place_of_a_file_whose_hash_is_known_is_not_kept(own_places: Path) -> None:
    with raw_server(sending(whole(BODY[:-1] + b"x"))) as server:
        with pytest.raises(zoo.HashMismatch):
            local_file(weights(server.url(), "0" * 64))
    assert not list((own_places / "cache").rglob("lenet.safetensors"))


@pytest.mark.parametrize("first", [b"", BODY, b"\x00" * 16, b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["lenet.safetensors", "lenet.pth"])
def test_a_body_without_end_is_not_read_to_it(
    own_places: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, name: str
) -> None:
    monkeypatch.setattr("zoo_https.transfer.LARGEST_UNTOLD", 5_000_000)

    def endless(connection, _) -> None:
        connection.sendall(whole(first, length=False))
        while True:
            connection.sendall(b"\x01" * 65536)

    with raw_server(endless) as server, pytest.raises(zoo.SourceError):
        local_file(weights(server.url(f"/{name}")))
    assert not list((own_places / "cache" / "https").rglob("lenet*"))


@pytest.mark.parametrize(
    ("length", "fault"),
    [(2 * 10**12, "up to 100 GB"), (3_000_000, "has 3.0 MB, and .* has room for 2.0 MB")],
)
def test_a_file_that_is_too_large_is_not_begun(
    own_places: Path, monkeypatch: pytest.MonkeyPatch, length: int, fault: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9_000_000, 7_000_000, 2_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    with raw_server(sending(head, BODY)) as server, pytest.raises(zoo.WeightsError, match=fault):
        local_file(weights(server.url()))


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["\xb2", "-1", "1e9", "Sun, 01 Jan 2034 00:00:00 GMT", "9" * 99])
def test_a_strange_time_to_wait_is_none(monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    busy = whole(b"", f"Retry-After: {after}", status="503 Busy")
    with raw_server(sending(busy)) as server, pytest.raises(zoo.SourceError, match="answers 503"):
        local_file(weights(server.url()))
    assert waits == [0.25, 0.5, 1, 2]


@pytest.mark.parametrize("etag", ['"caf\xe9"', 'W/"x"', '"a" "b"', "x" * 5000, '"\x01"'])
def test_a_strange_etag_only_means_that_the_part_is_not_resumed(
    own_places: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cut = whole(BODY, f"ETag: {etag}")[:-99]
    with raw_server(sending(cut)) as server:
        with pytest.raises(zoo.SourceError):
            local_file(weights(server.url()))
        server.answer = sending(whole(BODY, f"ETag: {etag}") if etag != '"\x01"' else whole(BODY))
        assert local_file(weights(server.url())).path.read_bytes() == BODY
        assert not any("Range:" in asked for asked in server.asked)


def test_an_etag_that_was_kept_by_an_older_zoo_is_not_sent(own_places: Path) -> None:
    from zoo_https.download import place

    with raw_server(sending(whole(BODY))) as server:
        path = place(server.url(), own_places / "cache")
        path.parent.mkdir(parents=True)
        path.with_name(path.name + ".etag").write_text('"caf\xe9"', encoding="utf-8")
        path.with_name(path.name + ".part").write_bytes(BODY[:99])
        assert local_file(weights(server.url())).path.read_bytes() == BODY


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:99999/a.safetensors",
        "https://127.0.0.1:0/a.safetensors",
        "https://127.0.0.1:abc/a.safetensors",
        "https://[::1/a.safetensors",
        "https:///a.safetensors",
        "https://a..invalid/a.safetensors",
        "https://" + "a" * 64 + ".invalid/a.safetensors",
        "https://xn--a.invalid/a.safetensors",
        "https://\u2028.invalid/a.safetensors",
        "https://h.invalid/\x1b]0;title\x07.safetensors",
        "https://h.invalid/\ud800.safetensors",
        "https://me:pa/ss@h.invalid/a.safetensors",
        "https://me:pa ss\x00@h.invalid/a.safetensors",
        "https://h.invalid/" + "a" * 70_000 + ".safetensors",
    ],
)
def test_what_is_no_address_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(zoo.SourceError) as caught:
        local_file(weights(url))
    text = str(caught.value)
    assert text.isprintable() and "ss" not in text.replace("address", "").partition(".")[0]


@pytest.mark.parametrize("name", ["%00", "a%00b.safetensors", "%2e%2e%2f%2e%2e", "%1b%5d0;x%07"])
def test_a_name_of_strange_characters_is_a_plain_one_in_the_cache_and_in_the_bar(
    own_places: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    with raw_server(sending(whole(BODY))) as server:
        path = local_file(weights(server.url(f"/{name}"))).path
    assert path.read_bytes() == BODY
    assert path.parents[1] == own_places / "cache" / "https"
    assert capfd.readouterr().err.replace("\n", "").isprintable()


def test_an_address_of_no_file_is_no_published_model() -> None:
    with pytest.raises(zoo.SourceError, match=r"one file, and has no config.json"):
        zoo.create("https://127.0.0.1:1/models/digits")


# --- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("http://h.invalid/a", "http://h.invalid/a, where http.* leads, is not encrypted"),
        ("file:///etc/passwd", "is not encrypted"),
        ("/lenet.safetensors", "from one address to the next"),
        ("//[::1", "cannot be fetched|sends none"),
        ("http://\xff/", "cannot be fetched|not encrypted"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_one_error(
    monkeypatch: pytest.MonkeyPatch, target: str, fault: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    answer = whole(b"", f"Location: {target}", status="302 Found")
    with raw_server(sending(answer)) as server, pytest.raises(zoo.SourceError, match=fault):
        local_file(weights(server.url()))


def test_a_redirect_is_followed() -> None:
    with raw_server(sending(whole(BODY))) as other:
        answer = whole(b"", f"Location: {other.url('/b')}", status="307 There")
        with raw_server(sending(answer)) as server:
            assert local_file(weights(server.url())).path.read_bytes() == BODY
