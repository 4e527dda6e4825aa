"""The cache: whose files are believed, and with which rights they are made."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core import cache
from zoo_core.cache import make_folder, recall, remember
from zoo_core.weights import hashes
from zoo_core.weights.hashes import read_sha256, sha256_of

NOBODY = 65534
root_only = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    cache._say_who_can_write.cache_clear()
    return tmp_path / "zoo"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o7777


# --- rights --------------------------------------------------------------------------------------


def test_what_is_made_is_this_users_alone(place, umask):
    remember(place / "facts" / "one.json", 3)
    assert [rights(place), rights(place / "facts")] == [0o700, 0o700]
    assert rights(place / "facts" / "one.json") == 0o600


def test_folders_above_the_cache_are_the_usual_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "above" / "zoo"))
    before = os.umask(0o022)
    make_folder(tmp_path / "above" / "zoo" / "stamps")
    os.umask(before)
    assert rights(tmp_path / "above") == 0o755
    assert rights(tmp_path / "above" / "zoo" / "stamps") == 0o700


@pytest.mark.parametrize(
    ("shared", "folder", "file"),
    [
        (0o2775, 0o2775, 0o644),
        (0o2770, 0o2770, 0o640),
        (0o1777, 0o1777, 0o644),
        (0o755, 0o700, 0o600),
    ],
)
def test_a_cache_of_a_group_stays_the_groups(place, umask, shared, folder, file):
    place.mkdir()
    place.chmod(shared)
    remember(place / "facts" / "one.json", 3)
    assert rights(place / "facts") == folder and recall(place / "facts" / "one.json", int) == 3
    assert rights(place / "facts" / "one.json") == file


def test_a_cache_that_all_can_write_to_is_said_once(place, caplog):
    place.mkdir()
    place.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        remember(place / "facts" / "one.json", 3)
        remember(place / "facts" / "two.json", 3)
    assert caplog.messages == [
        f"All users can replace files in the cache {place}: chmod o-w (or +t) it."
    ]
    assert rights(place / "facts") & 0o1000  # in there, they cannot
    place.chmod(0o1777)
    assert cache.open_to_all(place) == ""


def test_a_run_folder_is_this_users_alone(tmp_path, umask):
    from zoo_core.runs.folder import RunFolder

    folder = RunFolder(tmp_path / "runs" / "one")
    assert rights(folder.path) == 0o700
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o750)
    assert rights(RunFolder(tmp_path / "there").path) == 0o750


# --- trust ---------------------------------------------------------------------------------------


@root_only
@pytest.mark.parametrize("owner", [NOBODY, 0])
def test_what_another_user_wrote_is_not_believed(place, owner):
    remember(place / "one.json", 3)
    os.chown(place / "one.json", owner, -1)
    assert recall(place / "one.json", int) == (3 if owner == 0 else None)


def test_what_others_could_have_written_is_not_believed(place):
    remember(place / "one.json", 3)
    (place / "one.json").chmod(0o666)
    assert recall(place / "one.json", int) is None


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", b"\xff", b'{"a": 1}', b"4" + bytes(9)])
def test_facts_that_are_none(place, content):
    remember(place / "one.json", 3)
    (place / "one.json").write_bytes(content)
    assert recall(place / "one.json", int) is None


def test_a_pipe_and_a_folder_are_no_facts(place):
    make_folder(place)
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()
    assert recall(place / "pipe", int) is None and recall(place / "folder", int) is None


def changed_without_a_trace(path: Path, content: bytes) -> None:
    """What the owner of a file can do: as before in size and times."""
    facts = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@root_only
def test_a_file_of_another_user_is_read_each_time(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"good")
    os.chown(path, NOBODY, -1)
    assert sha256_of(path) == read_sha256(path)
    changed_without_a_trace(path, b"evil")
    assert sha256_of(path) == read_sha256(path)


def test_a_file_that_all_can_write_to_is_read_each_time(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"good")
    path.chmod(0o666)
    sha256_of(path)
    changed_without_a_trace(path, b"evil")
    assert sha256_of(path) == read_sha256(path)


def test_a_stamp_is_of_its_own_file(tmp_path):
    """Somebody may rename files in a cache that all can write to."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"good")
    sha256_of(one)
    one.rename(other)
    hashes._place(one).rename(hashes._place(other))
    assert recall(hashes._place(other), hashes.Stamp).path == str(one)
    other.write_bytes(b"evil")
    assert sha256_of(other) == read_sha256(other)


@root_only
def test_weights_of_another_user_load_by_their_hash(tmp_path, place):
    """As in a cache that a group shares: the pinned bytes are read, and believed for their hash."""
    folder = zoo.create("lenet5", pretrained=True).save_pretrained(tmp_path / "model")
    for path in folder.iterdir():
        os.chown(path, NOBODY, -1)
    zoo.create(folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    changed_without_a_trace(weights, bytes(content))
    with pytest.raises(zoo.WeightsError, match=r"sha256"):
        zoo.create(folder)
