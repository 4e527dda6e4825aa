"""hf:// -> a verified file: cold, warm, pinned, private, offline, and on another machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hub.client import run_client
from hub.server import HubServer
from support.fetching import created, digest, lenet, own_places, safetensors, same, seeded, weights
from support.model_fixtures import Offer
from support.places import TESTS

import zoo_core as zoo
from zoo_core.cache import using_cache
from zoo_core.cli import main
from zoo_core.weights.fetch import prefetch
from zoo_core.weights.lock import Pin, add_pins, read_lock
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any socket that is opened from here on fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_weights_come_from_the_hub_and_are_those_that_are_there(hub: HubServer) -> None:
    model = zoo.create("lenet5", pretrained=seeded(hub))
    assert same(model, lenet())
    assert model.origin.sha256 == digest(safetensors(lenet()))


def test_a_pinned_model_that_is_here_makes_no_request(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = seeded(hub)
    zoo.create("lenet5", pretrained=reference)
    hub.log.clear()
    sealed(monkeypatch)
    assert same(zoo.create("lenet5", pretrained=reference), lenet())
    assert hub.log == []


def test_a_branch_is_resolved_to_a_commit_before_anything_is_fetched(hub: HubServer) -> None:
    pinned = seeded(hub)
    fetched = local_file(weights("hf://alice/digits/model.safetensors"))
    assert fetched.pinned == pinned
    resolved = [entry.path for entry in hub.log.matching("* */resolve/*")]
    assert resolved
    assert all(pinned.split("@")[1].split("/")[0] in path for path in resolved)


def test_a_branch_that_moves_between_two_requests_gives_one_whole_version(hub: HubServer) -> None:
    seeded(hub)
    hub.faults.call("HEAD */resolve/*", lambda: seeded(hub, seed=1))
    fetched = local_file(weights("hf://alice/digits/model.safetensors"))
    assert fetched.sha256 == digest(safetensors(lenet()))
    assert digest(fetched.path.read_bytes()) == fetched.sha256


def test_what_no_manifest_pins_is_locked_when_it_is_first_seen(
    hub: HubServer, own_places: Path
) -> None:
    source = "hf://alice/digits/model.safetensors"
    pinned = seeded(hub)
    local_file(weights(source))
    [pin] = read_lock(own_places / "config/zoo/zoo.lock").values()
    assert pin == Pin(digest(safetensors(lenet())), pinned)
    seeded(hub, seed=1)
    hub.log.clear()
    assert local_file(weights(source)).pinned == pinned
    assert hub.log == []


def test_a_lock_of_the_project_comes_first_and_is_kept(hub: HubServer) -> None:
    source = "hf://alice/digits/model.safetensors"
    pinned = seeded(hub)
    add_pins(Path("zoo.lock"), {source: Pin("0" * 64, pinned)})
    with pytest.raises(zoo.HashMismatch, match=r"0{64}"):
        local_file(weights(source))


def test_a_broken_lock_is_an_error_that_names_it(hub: HubServer) -> None:
    Path("zoo.lock").write_text("version = 1\nweights = 3\n")
    with pytest.raises(zoo.WeightsError, match=r"zoo.lock is no lock file"):
        local_file(weights(seeded(hub)))


def test_a_wrong_hash_is_fetched_once_more_and_then_refused(hub: HubServer) -> None:
    reference = seeded(hub)
    with pytest.raises(zoo.HashMismatch) as caught:
        local_file(weights(reference, "1" * 64))
    assert "1" * 64 in str(caught.value)
    assert digest(safetensors(lenet())) in str(caught.value)
    assert reference in str(caught.value)
    assert len(hub.log.matching("GET /get/*")) == 2


def test_a_flipped_byte_from_the_cdn_is_found_and_fetched_again(hub: HubServer) -> None:
    reference = seeded(hub)
    hub.faults.flip("GET /get/*")
    assert same(zoo.create("lenet5", pretrained=reference), lenet())
    assert len(hub.log.matching("GET /get/*")) == 2


def test_flipped_bytes_every_time_are_an_error_and_leave_nothing(hub: HubServer) -> None:
    reference = seeded(hub)
    hub.faults.flip("GET /get/*", times=None)
    for _ in range(2):
        with pytest.raises(zoo.HashMismatch):
            zoo.create("lenet5", pretrained=reference)
    hub.faults.clear()
    assert same(zoo.create("lenet5", pretrained=reference), lenet())


def test_a_cached_file_that_changed_is_fetched_again(hub: HubServer) -> None:
    reference = seeded(hub)
    fetched = local_file(weights(reference))
    damaged = bytearray(fetched.path.read_bytes())
    damaged[-1] ^= 0xFF
    fetched.path.resolve().write_bytes(damaged)
    assert local_file(weights(reference)).sha256 == fetched.sha256
    assert digest(fetched.path.read_bytes()) == fetched.sha256


def test_private_and_gated_repositories_want_a_token(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"model.safetensors": safetensors(lenet())}
    hub.seed("alice/secret", body, private=True)
    hub.seed("alice/gated", body, gated=True)
    with pytest.raises(zoo.SourceError, match=r"does not exist, or is private.*hf auth login"):
        local_file(weights("hf://alice/secret/model.safetensors"))
    with pytest.raises(zoo.SourceError, match=r"gated.*hf auth login"):
        local_file(weights("hf://alice/gated/model.safetensors"))
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    assert local_file(weights("hf://alice/secret/model.safetensors")).path.is_file()
    assert hub.leaks() == []
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(zoo.SourceError, match=r"hf auth login"):
        local_file(weights("hf://alice/gated/model.safetensors"))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hf://alice/nothing/model.safetensors", "does not exist, or is private"),
        ("hf://alice/digits@v9/model.safetensors", "no such revision"),
        ("hf://alice/digits/other.safetensors", "has no other.safetensors"),
        ("hf://alice/digits/../../x.safetensors", "names no repository"),
        ("hf://alice", "names no repository"),
        ("hf://alice/digits?x=1", "names no repository"),
    ],
)
def test_what_is_not_there_is_one_clear_error(hub: HubServer, reference: str, message: str) -> None:
    seeded(hub)
    with pytest.raises(zoo.SourceError, match=message):
        local_file(weights(reference))


@pytest.mark.parametrize("variable", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_is_asked_for_at_call_time(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    reference, other = seeded(hub), seeded(hub, "alice/other")
    local_file(weights(reference))
    hub.log.clear()
    monkeypatch.setenv(variable, "1")
    assert local_file(weights(reference)).path.is_file()
    with pytest.raises(zoo.NotCached, match=r"zoo fetch .*alice/other.* --to DIR.*ZOO_CACHE=DIR"):
        local_file(weights(other))
    assert hub.log == []
    monkeypatch.setenv(variable, "0")
    assert local_file(weights(other)).path.is_file()


def test_a_folder_for_another_machine(
    hub: HubServer, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = seeded(hub)
    folder = own_places / "stick"
    prefetch([reference, "lenet5"], to=folder)
    hub.stop()
    monkeypatch.setenv("HF_HUB_CACHE", str(own_places / "none"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    code = (
        "import zoo_core as zoo; from support.fetching import lenet, same; "
        f"print(same(zoo.create('lenet5', pretrained={reference!r}), lenet()))"
    )
    places = {"HF_HOME": str(own_places / "empty"), "ZOO_CACHE": str(folder)}
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **places, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "True", done.stderr
    with using_cache(folder):
        assert local_file(weights(reference)).path.is_relative_to(folder)
    hub.start()


def test_pretrained_takes_a_folder_that_fetch_filled(
    hub: HubServer, own_places: Path, monkeypatch: pytest.MonkeyPatch, offer: Offer
) -> None:
    pinned, other = seeded(hub), "hf://alice/other/model.safetensors"
    seeded(hub, "alice/other", seed=1)
    table = 'architecture = "lenet"\nnum_classes = 10\ninput = { size = [1, 32, 32], '
    table += "mean = [0.1], std = [0.3] }\n"
    offer(
        f'[models.toy]\n{table}[models.toy.weights.a]\ndefault = true\nsource = "{pinned}"\n'
        f'sha256 = "{digest(safetensors(lenet()))}"\n[models.toy.weights.b]\nsource = "{other}"\n'
    )
    folder = own_places / "stick"
    prefetch(["toy", "toy.b"], to=folder)
    hub.stop()
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)
    shutil.rmtree(own_places / "config", ignore_errors=True)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert same(zoo.create("toy", pretrained=folder), lenet())
    assert same(zoo.create("toy.b", pretrained=folder), lenet(1))
    with pytest.raises(zoo.NotCached):
        zoo.create("toy", pretrained=True)
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    assert same(zoo.create("toy", pretrained=True), lenet())
    assert same(zoo.create("toy.b"), lenet(1))


def test_sixteen_processes_fetch_once(hub: HubServer, own_places: Path) -> None:
    reference = seeded(hub)
    context = get_context("forkserver")
    modules = ["support.fetching", "zoo_core.model.create", "zoo_hub.fetching", "zoo_lenet.lenet"]
    context.set_forkserver_preload(modules)
    places = [{"ZOO_CACHE": str(own_places / "cache")}] * 16
    with ProcessPoolExecutor(16, mp_context=context) as pool:
        found = list(pool.map(created, [reference] * 16, places))
    assert found == [digest(safetensors(lenet()))] * 16
    assert len(hub.log.matching("GET /get/*")) == 1


def test_xet_is_fetched_from_too(xet_hub: HubServer, tmp_path: Path) -> None:
    code = (
        "from huggingface_hub import HfApi\n"
        "from support.fetching import *; import zoo_core as zoo\n"
        "hub = HfApi(); hub.create_repo('alice/x')\n"
        "done = hub.upload_file(path_or_fileobj=safetensors(lenet()), "
        "path_in_repo='model.safetensors', repo_id='alice/x')\n"
        "ref = f'hf://alice/x@{done.oid}/model.safetensors'\n"
        "print(same(zoo.create('lenet5', pretrained=ref), lenet()))"
    )
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    assert run_client(xet_hub, code, tmp_path / "home", PYTHONPATH=path).strip() == "True"
    assert xet_hub.log.matching("GET */xet-read-token/*")


def test_plain_http_to_another_host_is_refused() -> None:
    with pytest.raises(zoo.SourceError, match=r"not encrypted"):
        local_file(weights("http://example.com/x.safetensors"))


def test_what_was_refused_is_damaged(
    hub: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded(hub)
    source = "hf://alice/digits/model.safetensors"
    assert main(["fetch", source, "--json"]) == 0
    path = Path(json.loads(capsys.readouterr().out)[0]["path"]).resolve()
    assert main(["lock", source]) == 0
    path.write_bytes(path.read_bytes()[:-1] + b"?")  # as somebody changes it
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for _ in range(2):  # asking again makes it no better
        capsys.readouterr()
        assert main(["fetch", source]) == 1
        assert "not the expected" in capsys.readouterr().err
        assert main(["verify"]) == 1
        assert "DAMAGED" in capsys.readouterr().out


def test_the_command_line_fetches_locks_and_verifies(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    seeded(hub)
    source = "hf://alice/digits/model.safetensors"

    def zoo_command(*words: str) -> tuple[int, str, str]:
        return main(words), *capsys.readouterr()

    [held] = json.loads(zoo_command("fetch", source, "--json")[1])
    assert held["sha256"] == digest(safetensors(lenet()))
    assert zoo_command("lock", source)[0] == 0
    assert read_lock(Path("zoo.lock"))[source].sha256 == held["sha256"]
    assert zoo_command("verify")[0] == 0
    path = Path(held["path"]).resolve()
    facts = path.stat()
    body = bytearray(path.read_bytes())
    body[-1] ^= 0xFF
    path.write_bytes(body)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as a failing disk does it
    code, printed, _ = zoo_command("verify")
    assert code == 1
    assert "DAMAGED" in printed
    code, _, said = zoo_command("fetch", "hf://alice/nothing/x.safetensors")
    assert code == 1
    assert said.startswith("Error: ")
    assert "Traceback" not in said
