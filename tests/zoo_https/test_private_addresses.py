"""Passwords and tokens in addresses are used, and stand nowhere afterwards."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, pickled, safetensors, same, weights
from support.pictures import colours
from support.raw_server import RawServer, raw_server, sending, whole

import zoo_core as zoo
from zoo_core.cache import using_cache
from zoo_core.cli import main
from zoo_core.model.create import create
from zoo_core.weights.fetch import prefetch
from zoo_core.weights.lock import read_lock, user_lock
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

BODY = safetensors(lenet())
PASSWORD, TOKEN = "pa55-w0rd", "t0ken-of-me"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
PATHS = ("/lenet.safetensors", f"/lenet.safetensors?token={TOKEN}&v=2", f"/lenet.pth?token={TOKEN}")


@pytest.fixture
def private() -> Iterator[RawServer]:
    """A server that asks for the password or the token."""

    def answer(connection, asked: str) -> None:
        allowed = BASIC in asked or TOKEN in asked
        body = pickled(lenet()) if ".pth" in asked else BODY
        connection.sendall(whole(body) if allowed else whole(b"", status="401 Unauthorized"))

    with raw_server(answer) as server:
        yield server


def address(server: RawServer, path: str) -> str:
    return server.url(path, who="" if TOKEN in path else f"me:{PASSWORD}@")


def assert_untold(*texts: str, folder: Path) -> None:
    """Neither secret stands in a text, nor in the name or the bytes of a file."""
    for secret in (PASSWORD, TOKEN, BASIC):
        assert not any(secret in text for text in texts)
        for path in folder.rglob("*"):
            assert secret not in str(path)
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("path", PATHS)
def test_a_password_is_used_and_stands_nowhere_from_create_to_push(
    private: RawServer,
    hub: HubServer,
    signed_in: str,
    own_places: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    url = address(private, path)
    data = colours(own_places / "data", {"red": (200, 0, 0), "blue": (0, 0, 200)})
    model = zoo.create("lenet5", pretrained=url, num_classes=2, freeze_until="head")
    assert str(model.origin.weights).startswith(f"{private.url(path.partition('?')[0])}#sha256=")
    run = zoo.finetune(model, f"folder:{data}", epochs=1, out="run")
    zoo.create("./run").save_pretrained("saved")
    pushed = zoo.push(run, "alice/digits", dry_run=True)
    assert "model.safetensors" in pushed.sizes  # a config.json may not lead to a web server
    assert f"fine-tuned from `{model.origin.weights}`" in pushed.card
    with pytest.raises(zoo.PublishError, match="nothing that a delta could stand on"):
        zoo.push(run, "alice/digits", dry_run=True, delta=True)
    for words in (["runs", "."], ["fetch", url], ["verify"], ["lock", url], ["stages", url]):
        main([*words, "--debug"])
    private.answer = sending(whole(b"", status="404 Gone"))
    assert main(["fetch", url.replace("lenet", "other"), "--debug"]) == 1
    streams = capfd.readouterr()
    assert "answers 404" in streams.err
    assert_untold(streams.out, streams.err, caplog.text, pushed.card, folder=own_places)


@pytest.mark.parametrize("path", PATHS)
def test_what_a_private_address_gave_is_loaded_again_by_its_own_name(
    private: RawServer, path: str
) -> None:
    named = zoo.create("lenet5", pretrained=address(private, path)).origin.weights
    private.asked.clear()
    assert same(zoo.create("lenet5", pretrained=named), lenet())
    assert private.asked == []


def test_elsewhere_it_needs_the_password_again(
    private: RawServer, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = address(private, PATHS[0])
    named = zoo.create("lenet5", pretrained=url).origin.weights
    monkeypatch.setenv("ZOO_CACHE", str(own_places / "other"))
    with pytest.raises(zoo.SourceError, match=r"not for everybody \(401\).*netrc"):
        zoo.create("lenet5", pretrained=named)
    place = own_places / "netrc"
    place.write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
    place.chmod(0o600)
    monkeypatch.setenv("NETRC", str(place))
    assert same(zoo.create("lenet5", pretrained=named), lenet())


def test_other_bytes_under_the_name_of_a_private_address_are_refused(
    private: RawServer, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = zoo.create("lenet5", pretrained=address(private, PATHS[0])).origin.weights
    monkeypatch.setenv("ZOO_CACHE", str(own_places / "other"))
    private.answer = sending(whole(safetensors(lenet(1))))
    with pytest.raises(zoo.HashMismatch):
        zoo.create("lenet5", pretrained=named)


def test_addresses_that_differ_in_their_query_only_are_two(own_places: Path) -> None:
    bodies = {f"version={seed} ": safetensors(lenet(seed)) for seed in (1, 2)}

    def answer(connection, asked: str) -> None:
        connection.sendall(next(whole(body) for key, body in bodies.items() if key in asked))

    with raw_server(answer) as server:
        for _ in "cold", "warm":
            for seed in (1, 2):
                url = server.url(f"/lenet.safetensors?version={seed}")
                assert same(zoo.create("lenet5", pretrained=url), lenet(seed))
        assert len(server.asked) == 2
        assert len(read_lock(user_lock())) == 2
        bodies["version=2 "] = safetensors(lenet(3))
        for path in (own_places / "cache/https").rglob("*.safetensors"):
            path.unlink()
        with pytest.raises(zoo.HashMismatch):
            zoo.create("lenet5", pretrained=server.url("/lenet.safetensors?version=2"))


def test_what_was_fetched_for_another_machine_is_found_there_by_either_name(
    private: RawServer, own_places: Path
) -> None:
    for path in PATHS[:2]:
        url = address(private, path)
        prefetch([url], to=own_places / "stick")
        named = zoo.create("lenet5", pretrained=url).origin.weights
        asked = len(private.asked)
        with using_cache(own_places / "stick"):
            assert same(create("lenet5", pretrained=url), lenet())
            assert same(create("lenet5", pretrained=named), lenet())
        assert len(private.asked) == asked
    assert_untold(folder=own_places / "stick")


def test_a_known_hash_keeps_its_meaning_with_a_password(private: RawServer) -> None:
    fetched = local_file(weights(address(private, PATHS[0]), digest(BODY)))
    assert fetched.pinned == f"{private.url()}#sha256={digest(BODY)}"


# --- to whom it goes -----------------------------------------------------------------------------


def test_a_password_does_not_follow_a_redirect_to_another_host(private: RawServer) -> None:
    with raw_server(sending(whole(BODY))) as other:
        private.answer = sending(
            whole(b"", f"Location: {other.url().replace('127.0.0.1', 'localhost')}", status="302 X")
        )
        local_file(weights(address(private, PATHS[0])))
        assert BASIC in private.asked[0]
        assert "authorization" not in other.asked[0].lower()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_goes_to_this_machine_goes_to_no_proxy(
    private: RawServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with raw_server(sending(whole(BODY))) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        local_file(weights(address(private, PATHS[0])))
        assert (len(proxy.asked), len(private.asked)) == (0, 1)
