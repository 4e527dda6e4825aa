"""The sha1, md5 or sha512 of a release: compared on the way in, and a sha256 is pinned after it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, pickled, safetensors, same, weights

import zoo_core as zoo
from zoo_core import ManifestError, hookimpl
from zoo_core.cli import main
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.manifest import read_manifest
from zoo_core.weights.fetch import prefetch
from zoo_core.weights.lock import Pin, add_pins, pin_of
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

BODIES = {"safetensors": safetensors(lenet(1)), "pth": pickled(lenet(1))}
OTHERS = ("sha1", "md5", "sha512")


def of(name: str, body: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, body).hexdigest()}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", BODIES)
def test_it_is_compared_and_the_sha256_pinned(hub: HubServer, name: str, kind: str) -> None:
    hub.publish(f"net.{kind}", BODIES[kind])
    url = f"{hub.url}/static/net.{kind}"
    right = replace(weights(url), **of(name, BODIES[kind]))
    assert local_file(right).sha256 == digest(BODIES[kind])
    assert pin_of(url) == Pin(digest(BODIES[kind]), url)
    asked = len(hub.requests("GET /static/*"))
    assert local_file(right).sha256 == digest(BODIES[kind])
    assert len(hub.requests("GET /static/*")) == asked  # it is here


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", BODIES)
def test_other_bytes_are_refused(hub: HubServer, name: str, kind: str) -> None:
    hub.publish(f"net.{kind}", BODIES[kind])
    url = f"{hub.url}/static/net.{kind}"
    wrong = replace(weights(url), **of(name, b"other"))
    found, wanted = of(name, BODIES[kind])[name], of(name, b"other")[name]
    with pytest.raises(zoo.HashMismatch, match=f"has {name} {found}, not the expected {wanted}"):
        local_file(wrong)
    assert len(hub.requests("GET /static/*")) == 2  # once more, then an error
    assert pin_of(url) is None


@pytest.mark.parametrize("kind", BODIES)
def test_beside_a_sha256_and_a_pin_both_count(hub: HubServer, kind: str) -> None:
    hub.publish(f"net.{kind}", BODIES[kind])
    url, body = f"{hub.url}/static/net.{kind}", BODIES[kind]
    both = replace(weights(url, digest(body)), **of("sha1", body), **of("md5", body))
    assert local_file(both).sha256 == digest(body)
    assert pin_of(url) is None
    with pytest.raises(zoo.HashMismatch, match="sha256"):
        local_file(replace(both, sha256="0" * 64, source=f"{url}?again"))


@pytest.mark.parametrize("kind", BODIES)
def test_a_pin_of_somebody_else_does_not_do(hub: HubServer, kind: str) -> None:
    """A lock that came with a project names other bytes, which are here: they are still refused."""
    hub.publish(f"net.{kind}", BODIES[kind])
    url, body = f"{hub.url}/static/net.{kind}", BODIES[kind]
    local_file(weights(url))
    add_pins(Path("zoo.lock"), {url: Pin(digest(body), url)})
    with pytest.raises(zoo.HashMismatch, match="sha1"):
        local_file(replace(weights(url), **of("sha1", b"other")))
    assert local_file(replace(weights(url), **of("sha1", body))).sha256 == digest(body)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(BODIES["safetensors"])
    right = replace(weights(f"file:{path}"), **of("sha1", BODIES["safetensors"]))
    assert local_file(right).path == path
    path.write_bytes(safetensors(lenet(2)))
    with pytest.raises(zoo.HashMismatch, match="replace it"):
        local_file(right)
    assert path.exists()


# --- in a manifest -------------------------------------------------------------------------------

TABLE = """
schema = 1
[models.mine]
architecture = "lenet"
num_classes = 10
input = {{ size = [1, 32, 32], mean = [0.1], std = [0.3] }}
[models.mine.weights.a]
default = true
source = "{source}"
{hashes}
"""


@pytest.fixture
def mine(hub: HubServer, tmp_path: Path) -> Iterator[Path]:
    """A third party's manifest, with the sha1 of a `.pth` on a server."""
    hub.publish("net.pth", BODIES["pth"])
    stated = f'sha1 = "{of("sha1", BODIES["pth"])["sha1"]}"'
    path = tmp_path / "mine.toml"
    path.write_text(TABLE.format(source=f"{hub.url}/static/net.pth", hashes=stated))
    plugins = load_plugins(only=())
    hooks = SimpleNamespace(zoo_manifests=hookimpl(lambda: [path]))
    plugins.register(hooks, Plugin("zoo_mine", "zoo-mine", "1.0"))
    with using_catalogue(Catalogue(plugins)):
        yield path


def test_from_a_manifest_to_a_model(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert same(zoo.create("mine", pretrained=True), lenet(1))
    assert main(["show", "mine.a"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"sha256 not pinned sha1 {of('sha1', BODIES['pth'])['sha1']}" in told
    assert main(["show", "mine.a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"]["a"]["md5"] is None


def test_the_way_to_another_machine(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefetch(["mine"], to=tmp_path / "stick")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "stick"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert same(zoo.create("mine", pretrained=True), lenet(1))


def test_lock_compares_it(mine: Path) -> None:
    assert main(["lock", "mine"]) == 0
    (pin,) = tomllib.loads(Path("zoo.lock").read_text())["weights"].values()
    assert pin["sha256"] == digest(BODIES["pth"])


@pytest.mark.parametrize("form", ["toml", "json"])
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("sha1", "0" * 39, "sha1 must be 40 lower-case hex digits"),
        ("sha1", "A" * 40, "sha1 must be 40 lower-case hex digits"),
        ("md5", "0" * 40, "md5 must be 32 lower-case hex digits"),
        ("sha512", "xyz", "sha512 must be 128 lower-case hex digits"),
        ("sha256", "0" * 40, "sha256 must be 64 lower-case hex digits"),
        ("sha-1", "0" * 40, 'unknown key "sha-1"'),
    ],
)
def test_one_that_is_none(tmp_path: Path, form: str, key: str, value: str, told: str) -> None:
    text = TABLE.format(source="https://host/a.pth", hashes=f'{key} = "{value}"')
    path = tmp_path / f"a.{form}"
    path.write_text(text if form == "toml" else json.dumps(tomllib.loads(text)))
    with pytest.raises(ManifestError, match=told):
        read_manifest(path)


def test_both_forms_are_read_alike(tmp_path: Path) -> None:
    stated = {name: of(name, b"")[name] for name in OTHERS}
    text = TABLE.format(
        source="https://host/a.pth", hashes="\n".join(f'{k} = "{v}"' for k, v in stated.items())
    )
    for form in ("toml", "json"):
        path = tmp_path / f"a.{form}"
        path.write_text(text if form == "toml" else json.dumps(tomllib.loads(text)))
        (model,) = read_manifest(path)
        assert model.weights["a"].other_hashes == stated
