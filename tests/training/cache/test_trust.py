"""Activations: only what zoo wrote for this user is removed, and only that is believed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from support.activations import A, blocks, kept, keys, values, whole
from support.in_process import run

from zoo_core.training.cache import disk
from zoo_core.training.cache.disk import FACTS, OLD
from zoo_core.training.cache.store import Gathering

NOBODY = 65534
root_only = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away"
)
OTHER = {**A, "boundary": "fc2"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
    return tmp_path / "zoo" / "activations"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- clear ---------------------------------------------------------------------------------------


def strangers(folder: Path) -> None:
    """What zoo did not write, near to it in name or shape."""
    for name in ("my-photos/a.jpg", f"{'0' * 32}/thesis.tex", ".new-year/plans.txt", "file"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (folder / "json").mkdir()
    (folder / "json" / FACTS).write_text('{"mine": true}')
    (folder / "empty").mkdir()


def test_clearing_through_a_link_takes_entries_alone(place, tmp_path):
    big = tmp_path / "bigdisk"
    strangers(big)
    before = files(big)
    place.parent.mkdir()
    place.symlink_to(big)
    kept(values())
    (kept(values(), OTHER) / FACTS).write_text("damaged")
    (big / ".new-1").mkdir()
    (big / ".new-1" / OLD).write_bytes(bytes(100))
    done = run("cache", "--clear")
    assert done.returncode == 0 and done.stdout.startswith("Freed ")
    assert done.stderr == (
        f"Left in {place}, as zoo did not write it for this user: .new-year, {'0' * 32}, "
        "empty, file, json, …\n"
    )
    assert files(big) == before and (big / "my-photos" / "a.jpg").read_text() == "mine"


@pytest.mark.parametrize("name", ["zoo", "home", "/"])
def test_a_cache_in_a_folder_of_other_things(name, tmp_path, monkeypatch):
    """ZOO_CACHE=/ or HOME: its activations/ may be somebody's own."""
    monkeypatch.setenv("ZOO_CACHE", name if name == "/" else str(tmp_path / name))
    if name != "/":
        strangers(tmp_path / name / "activations")
    before = files(tmp_path)
    assert run("cache", "--clear").returncode == 0
    assert files(tmp_path) == before


def test_links_are_not_followed(place, tmp_path):
    folder, other = kept(values()), tmp_path / "other"
    inside = files(folder)
    folder.rename(other)
    folder.symlink_to(other)
    assert disk.entries() == [] and whole() is None
    folder = kept(values(), OTHER)
    [block] = blocks()
    shutil.move(block, tmp_path / "block")
    block.symlink_to(tmp_path / "block")
    assert blocks() == [] and whole(7, OTHER) is None
    assert run("cache", "--clear").returncode == 0
    assert files(other) == inside and (tmp_path / "block").exists()


def test_what_somebody_put_into_an_entry_stays(place):
    folder = kept(values())
    (folder / "notes.txt").write_text("mine")
    done = run("cache", "--clear")
    assert done.returncode == 1
    assert f"{folder.name} cannot be removed: Directory not empty" in done.stderr
    assert files(place) == {folder.name, f"{folder.name}/notes.txt"}


def test_a_file_in_the_place_of_the_folder(place):
    place.parent.mkdir()
    place.write_text("mine")
    done = run("cache", "--clear")
    assert (done.returncode, done.stderr) == (1, f"Error: Not a directory: {place}\n")
    assert place.read_text() == "mine" and disk.entries() == []
    with pytest.raises(OSError, match="Not a directory"):
        disk.begin(A)


@root_only
def test_another_users_entries_are_neither_used_nor_removed(place):
    folder = kept(values())
    before = files(place)
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, -1)
    lines: list[str] = []
    assert whole(7, A, lines.append) is None and disk.entries() == []
    assert lines == [f"Not used: {folder} is no folder of this user's. It is computed again."]
    assert folder.name in run("cache", "--clear").stderr and files(place) == before


@root_only
def test_another_users_block_in_an_entry_is_none():
    """In a cache of a group, others can write into a folder."""
    kept(values())
    [block] = blocks()
    os.chown(block, NOBODY, -1)
    assert blocks() == [] and whole() is None and block.exists()


@root_only
def test_nothing_is_written_into_another_users_folder(place):
    folder = kept(values(2), numbers=[8, 9])
    os.chown(folder, NOBODY, -1)
    before = files(place)
    said: list[str] = []
    rows = Gathering(A, 7, say=said.append)
    rows.put(range(7), values(), keys(7))
    assert torch.equal(rows.finish(), values()) and files(place) == before
    assert said == [f"The cache lasts for this run only: {folder} is another user's."]


def test_clearing_leaves_a_reader_what_it_has(place, monkeypatch):
    kept(values(100))
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    mapped = whole(100)
    assert disk.clear().freed > mapped.nbytes
    assert torch.equal(mapped, values(100)) and files(place) == set()


# --- find ----------------------------------------------------------------------------------------


def test_a_pipe_is_no_block_and_no_facts(place):
    """It would be waited for, for ever."""
    folder = kept(values())
    [block] = blocks()
    block.unlink()
    os.mkfifo(block)
    assert whole() is None and disk.entries()[0].blocks == []
    (folder / FACTS).unlink()
    os.mkfifo(folder / FACTS)
    assert disk.entries() == []
    kept(values())
    assert torch.equal(whole(), values())


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, " " * (2**20 + 1), "NaN"])
def test_facts_that_cost_memory_or_are_deep(text):
    (kept(values()) / FACTS).write_text(text)
    assert disk.entries() == [] and run("cache").returncode == 0


@pytest.mark.parametrize(
    "facts",
    [
        {"model": ["x"], "boundary": {"a": 1}},
        {"model": float("nan")},
        {"model": "\x1b]0;title\x07", "boundary": "a\nb"},
    ],
)
def test_strange_facts_are_listed(facts):
    kept(values(), facts)
    done = run("cache")
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 3 and "\x1b" not in done.stdout


def test_a_damaged_block_is_said_and_removed(place):
    kept(values())
    [block] = blocks()
    content = bytearray(block.read_bytes())
    content[-1] ^= 1
    block.write_bytes(content)
    lines: list[str] = []
    assert whole(7, A, lines.append) is None
    assert lines == [f"Not used: {block} is damaged. It is computed again."]
    assert files(place) == set()


def test_an_entry_under_the_name_of_another_is_none(place):
    """Neither do its facts count, nor its blocks."""
    other = disk.place() / disk.key_of(OTHER)
    kept(values()).rename(other)
    assert disk.entry_at(other) is None and whole(7, OTHER) is None


def test_entries_are_this_users_alone(place):
    before = os.umask(0)
    try:
        kept(values())
    finally:
        os.umask(before)
    rights = {path.suffix: path.stat().st_mode & 0o777 for path in place.rglob("*.*")}
    assert rights == {".safetensors": 0o600, ".json": 0o600}
    assert {p.stat().st_mode & 0o777 for p in (place, *place.iterdir())} == {0o700}
