"""Branches with a slash in their names, revisions that are none, and files without links."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
import pytest
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, safetensors, same, seeded, weights

import zoo_core as zoo
from zoo_core.weights.lock import read_lock
from zoo_core.weights.sources import local_file
from zoo_hub.reference import readings

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.mark.parametrize(
    ("behind", "meant"),
    [
        ("", [(None, None)]),
        ("/sub/model.safetensors", [(None, "sub/model.safetensors")]),
        ("@v1.0", [("v1.0", None)]),
        ("@exp/run-1", [("exp/run-1", None)]),
        ("@exp%2Frun-1", [("exp/run-1", None)]),
        ("@exp%2frun-1/x.bin", [("exp/run-1", "x.bin")]),
        ("@refs/pr/7", [("refs/pr/7", None)]),
        ("@refs/pr/7/x.pt", [("refs/pr/7", "x.pt")]),
        (f"@{COMMIT}/a/x.pt", [(COMMIT, "a/x.pt")]),
        (f"@{COMMIT}/config.json", [(COMMIT, "config.json")]),
        ("@a/b/x.pt", [("a", "b/x.pt"), ("a/b", "x.pt")]),
    ],
)
def test_what_a_reference_can_mean(behind: str, meant: list[tuple[str | None, str | None]]) -> None:
    assert [(p.revision, p.file) for p in readings(f"alice/tiny{behind}")] == meant


@pytest.mark.parametrize(
    "revision",
    [
        "..",
        "a%2F..%2F..%2Fb",
        "%2Fetc",
        "a%00",
        "a%0Ab",
        "a%20b",
        "a%5Cb",
        "-x",
        "a^",
        "a//b",
        "a@b",
    ],
)
def test_what_cannot_be_a_revision_is_refused(revision: str) -> None:
    with pytest.raises(zoo.SourceError, match=r"names no (revision|repository)") as caught:
        readings(f"alice/tiny@{revision}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("file", ["", "/model.safetensors"])
@pytest.mark.parametrize("branch", ["exp/run-1", "exp%2Frun-1"])
def test_a_branch_with_a_slash(hub: HubServer, branch: str, file: str) -> None:
    commit = seeded(hub).split("@")[1].split("/")[0]
    huggingface_hub.HfApi(token="hf_write").create_branch("alice/digits", branch="exp/run-1")
    source = f"hf://alice/digits@{branch}{file}"
    fetched = local_file(weights(source))
    assert fetched.sha256 == digest(safetensors(lenet()))
    assert fetched.pinned == f"hf://alice/digits@{commit}{file}"
    seeded(hub, seed=1)
    assert local_file(weights(source)).sha256 == fetched.sha256  # by the lock


@pytest.mark.parametrize("name", ["nope", "exp/nope", COMMIT])
def test_an_error_names_the_revision_and_no_file(hub: HubServer, name: str) -> None:
    seeded(hub)
    for reference in (f"hf://alice/digits@{name}", f"hf://alice/digits@{name}/model.safetensors"):
        with pytest.raises(zoo.SourceError) as caught:
            local_file(weights(reference))
        shown = re.escape(name)
        assert re.search(
            rf"hf://alice/digits has no such revision: (exp or )?{shown}\.", str(caught.value)
        )


# --- no links, as on Windows ---------------------------------------------------------------------


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_SYMLINKS", True)


def test_without_links_a_flipped_byte_is_found(
    hub: HubServer, no_links: None, own_places: Path
) -> None:
    reference = seeded(hub)
    hub.faults.flip("GET /get/*", times=None)
    for _ in range(2):
        with pytest.raises(zoo.HashMismatch):
            zoo.create("lenet5", pretrained=reference)
    assert read_lock(own_places / "config/zoo/zoo.lock") == {}
    hub.faults.clear()
    assert same(zoo.create("lenet5", pretrained=reference), lenet())
    hub.log.clear()
    assert same(zoo.create("lenet5", pretrained=reference), lenet())
    assert hub.log == []


def test_without_links_a_copy_of_somebody_elses_is_compared(
    hub: HubServer, no_links: None, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = seeded(hub)
    commit = reference.split("@")[1].split("/")[0]
    name = "model.safetensors"
    path = Path(huggingface_hub.hf_hub_download("alice/digits", name, revision=commit))
    assert not path.is_symlink()
    body = bytearray(path.read_bytes())
    body[-1] ^= 0xFF
    path.write_bytes(body)
    with monkeypatch.context() as offline:
        offline.setenv("ZOO_OFFLINE", "1")
        local_file(weights(reference))  # nobody here knows better
    assert read_lock(own_places / "config/zoo/zoo.lock") == {}
    assert same(zoo.create("lenet5", pretrained=reference), lenet())


def test_a_small_file_is_compared_with_what_git_calls_it(hub: HubServer) -> None:
    hub.seed("alice/digits", {"config.json": b'{"architecture": "no_such"}'})
    hub.faults.flip("GET */resolve/*/config.json")
    with pytest.raises(zoo.SourceError, match=r"has no model.safetensors"):  # it was read
        zoo.create("hf://alice/digits")
    assert len(hub.log.matching("GET */resolve/*/config.json")) == 2


def test_a_huge_description_is_not_fetched(hub: HubServer) -> None:
    hub.seed("alice/digits", {"config.json": b"x" * 5_000_000})
    with pytest.raises(zoo.SourceError, match=r"config.json has 5,000,000 bytes"):
        zoo.create("hf://alice/digits")
    assert hub.log.matching("GET */resolve/*/config.json") == []
