"""zoo.lock: what it may say of a source, one that is none, and one that cannot be written."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, safetensors, seeded, weights

import zoo_core as zoo
from zoo_core.weights.lock import Pin, add_pins, pin_of, read_lock, user_lock
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

SOURCE = "hf://good/one/model.safetensors"
COMMIT = "c0ffee" * 6 + "c0ff"


def written_lock(source: str, pinned: str, sha256: str = "0" * 64) -> None:
    Path("zoo.lock").write_text(
        f'version = 1\n[weights."{source}"]\nsha256 = "{sha256}"\npinned = "{pinned}"\n'
    )


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        (SOURCE, "file:/tmp/evil.safetensors"),
        (SOURCE, "file:evil.safetensors"),
        (SOURCE, "pkg://zoo_lenet/weights/lenet5.safetensors"),
        (SOURCE, "https://good/one/model.safetensors"),
        (SOURCE, f"hf://evil/one@{COMMIT}/model.safetensors"),
        (SOURCE, f"hf://good/two@{COMMIT}/model.safetensors"),
        (SOURCE, f"hf://good/one@{COMMIT}/other.safetensors"),
        (SOURCE, f"hf://good/one@{COMMIT}/sub/model.safetensors"),
        (SOURCE, f"hf://good/one@{COMMIT}"),
        (SOURCE, f"HF://good/one@{COMMIT}/model.safetensors"),
        (SOURCE, "hf://good/one@/model.safetensors"),
        ("hf://good/one", f"hf://good/one@{COMMIT}/evil.safetensors"),
        (f"hf://good/one@{COMMIT}/model.safetensors", f"hf://good/one@{COMMIT}"),
        ("https://good.com/x.safetensors", "https://evil.com/x.safetensors"),
        ("https://good.com/a/x.safetensors", "https://good.com/a@evil/x.safetensors"),
        ("https://good.com/x.safetensors", "https://good.com@evil.com/x.safetensors"),
        ("https://good.com/x.safetensors", "http://good.com/x.safetensors"),
        ("file:/data/a@1/x.safetensors", "file:/data/a@2/x.safetensors"),
    ],
)
def test_a_lock_that_leads_to_another_place_is_refused(source: str, pinned: str) -> None:
    written_lock(source, pinned)
    with pytest.raises(zoo.WeightsError, match=r"zoo.lock sends .* another place") as caught:
        local_file(weights(source))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        (SOURCE, SOURCE),
        (SOURCE, f"hf://good/one@{COMMIT}/model.safetensors"),
        ("hf://good/one@main/model.safetensors", f"hf://good/one@{COMMIT}/model.safetensors"),
        ("hf://good/one@exp/run-1/x.safetensors", f"hf://good/one@{COMMIT}/x.safetensors"),
        ("hf://good/one", f"hf://good/one@{COMMIT}"),
        ("hf://good/one@exp/run-1", f"hf://good/one@{COMMIT}"),
        ("https://good.com/x.safetensors", "https://good.com/x.safetensors"),
    ],
)
def test_a_lock_says_which_revision_of_a_source_is_meant(source: str, pinned: str) -> None:
    written_lock(source, pinned)
    assert pin_of(source) == Pin("0" * 64, pinned)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"version = 2\nfuture = true\n", "has version 2; this zoo reads 1"),
        (b"version = -1\n", "has version -1"),
        (b'version = "1"\n', r"Expected int, got str.*version"),
        (b"version = true\n", r"Expected int, got bool"),
        (b"", r"missing required field version"),
        (b"version = 1\nweights = []\n", r"Expected object, got array"),
        (b'version = 1\n[weights]\nx = "y"\n', r"Expected object, got str"),
        (b'version = 1\n[weights."a:b"]\nsha256 = "0"\npinned = "a:b"\n', r"a:b: .*\[0-9a-f\]"),
        (b'version = 1\n[weights."a:b"]\nsha256 = 3\npinned = "a:b"\n', r"a:b: Expected str"),
        (b'version = 1\n[weights."a:b"]\npinned = "a:b"\n', r"a:b: .*missing .*sha256"),
        (b'version = 1\n[weights."\\u001b]0;x"]\npinned = 1\n', r"\\x1b\]0;x"),
        (b"version = 1\nx = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"\xff\xfe", "is no lock file"),
        (b"# " + b"x" * 17_000_000, "more than the"),
    ],
)
def test_a_lock_that_is_none_is_one_line_that_names_it(body: bytes, message: str) -> None:
    Path("zoo.lock").write_bytes(body)
    with pytest.raises(zoo.WeightsError, match=message) as caught:
        pin_of(SOURCE)
    assert str(caught.value).startswith("zoo.lock ")
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_not_waited_for() -> None:
    os.mkfifo("zoo.lock")
    with pytest.raises(zoo.WeightsError, match=r"zoo.lock cannot be read: is a pipe, no file"):
        pin_of(SOURCE)
    Path("zoo.lock").unlink()
    Path("zoo.lock").mkdir()
    with pytest.raises(zoo.WeightsError, match=r"zoo.lock cannot be read: is a folder, no file"):
        pin_of(SOURCE)


def test_credentials_are_not_written_down_and_files_by_query_are_told_apart() -> None:
    place = Path("zoo.lock")
    first, second = (f"https://me:secret@host/get?file={n}&token=hush" for n in (1, 2))
    add_pins(place, {first: Pin("1" * 64, first), second: Pin("2" * 64, second)})
    assert "secret" not in place.read_text()
    assert "hush" not in place.read_text()
    assert pin_of(first) == Pin("1" * 64, first)
    assert pin_of(second) == Pin("2" * 64, second)
    assert pin_of("https://host/get") is None


@pytest.mark.parametrize("home", ["/proc/nohome", "/dev/null"])
def test_a_lock_that_cannot_be_written_is_said_and_no_reason_to_fail(
    home: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hub: HubServer
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", home)
    seeded(hub)
    source = "hf://alice/digits/model.safetensors"
    with caplog.at_level(logging.WARNING):
        fetched = local_file(weights(source))
    assert fetched.sha256 == digest(safetensors(lenet()))
    [said] = caplog.messages
    assert said.startswith(f"{source} is not pinned: {home}/.config/zoo/zoo.lock cannot be written")
    assert local_file(weights(source)).path == fetched.path


def test_a_user_without_a_home_has_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert user_lock() is None
    assert pin_of(SOURCE) is None


def test_a_broken_lock_is_not_written_over() -> None:
    Path("zoo.lock").write_text("version = 1\nweights = 3\n")
    with pytest.raises(zoo.WeightsError, match=r"is no lock file"):
        add_pins(Path("zoo.lock"), {SOURCE: Pin("0" * 64, SOURCE)})
    assert Path("zoo.lock").read_text() == "version = 1\nweights = 3\n"


def test_a_source_that_names_another_place_is_pinned_by_its_hash() -> None:
    add_pins(Path("zoo.lock"), {"acme:x": Pin("3" * 64, "acme:elsewhere")})
    assert read_lock(Path("zoo.lock")) == {"acme:x": Pin("3" * 64, "acme:x")}
