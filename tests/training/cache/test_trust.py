"""Activations: only what zoo wrote for this user is removed, and only that is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.activations import kept, values
from support.in_process import run

from zoo_core.training.cache import disk
from zoo_core.training.cache.disk import FACTS, VALUES

NOBODY = 65534
root_only = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away"
)
KEY = "0123456789abcdef" * 2


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
    kept("a", values())
    kept(KEY, values())
    (big / KEY / FACTS).write_text("damaged")
    (big / ".new-1").mkdir()
    (big / ".new-1" / VALUES).write_bytes(bytes(100))
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
    kept(KEY, values())
    other = tmp_path / "other"
    (place / KEY).rename(other)
    (place / KEY).symlink_to(other)
    assert disk.entries() == [] and disk.load(KEY) is None
    kept("b", values())
    shutil.move(place / "b" / VALUES, tmp_path / "values")
    (place / "b" / VALUES).symlink_to(tmp_path / "values")
    assert disk.entries() == [] and disk.load("b") is None
    assert run("cache", "--clear").returncode == 0
    assert files(other) == {VALUES, FACTS} and (tmp_path / "values").exists()


def test_what_somebody_put_into_an_entry_stays(place):
    kept("a", values())
    (place / "a" / "notes.txt").write_text("mine")
    done = run("cache", "--clear")
    assert done.returncode == 1 and "a cannot be removed: Directory not empty" in done.stderr
    assert files(place) == {"a", "a/notes.txt"}


def test_a_file_in_the_place_of_the_folder(place):
    place.parent.mkdir()
    place.write_text("mine")
    done = run("cache", "--clear")
    assert (done.returncode, done.stderr) == (1, f"Error: Not a directory: {place}\n")
    assert place.read_text() == "mine" and disk.entries() == []
    with pytest.raises(OSError, match="Not a directory"):
        disk.temporary_entry()


@root_only
def test_another_users_entries_are_neither_used_nor_removed(place):
    kept(KEY, values())
    for path in (place / KEY, place / KEY / VALUES, place / KEY / FACTS):
        os.chown(path, NOBODY, -1)
    lines: list[str] = []
    assert disk.load(KEY, lines.append) is None
    assert lines == [
        f"Not used: {place / KEY} is damaged, or another user's. It is computed again."
    ]
    assert KEY in run("cache", "--clear").stderr
    assert files(place) == {KEY, f"{KEY}/{VALUES}", f"{KEY}/{FACTS}"}


def test_clearing_leaves_a_reader_what_it_has(place, monkeypatch):
    kept("a", values(100))
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    mapped = disk.load("a")
    assert disk.clear().freed > mapped.nbytes
    assert torch.equal(mapped, values(100)) and files(place) == set()


# --- load ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FACTS, VALUES])
def test_a_pipe_is_no_entry(place, name):
    """It would be waited for, for ever."""
    kept("a", values())
    (place / "a" / name).unlink()
    os.mkfifo(place / "a" / name)
    assert disk.load("a") is None and disk.entries() == []
    kept("a", values())
    assert torch.equal(disk.load("a"), values())


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, " " * (2**20 + 1), "NaN"])
def test_facts_that_cost_memory_or_are_deep(place, text):
    kept("a", values())
    (place / "a" / FACTS).write_text(text)
    assert disk.load("a") is None and run("cache").returncode == 0


def facts(place: Path, **given: Any) -> None:
    path = place / "a" / FACTS
    path.write_text(json.dumps({**json.loads(path.read_text()), **given}))


@pytest.mark.parametrize(
    "given",
    [
        {"count": "many", "views": []},
        {"count": float("nan"), "views": {"a": 1}},
        {"model": "\x1b]0;title\x07", "name": "a\nb", "boundary": ["x"]},
    ],
)
def test_strange_facts_are_listed(place, given):
    kept("a", values())
    facts(place, **given)
    done = run("cache")
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 3 and "\x1b" not in done.stdout


def test_a_damaged_entry_is_said_and_removed(place):
    kept("a", values())
    content = bytearray((place / "a" / VALUES).read_bytes())
    content[-1] ^= 1
    (place / "a" / VALUES).write_bytes(content)
    lines: list[str] = []
    assert disk.load("a", lines.append) is None
    assert lines == [f"Not used: {place / 'a'} is damaged. It is computed again."]
    assert files(place) == set()


def test_an_entry_under_the_name_of_another_is_none(place):
    kept("a", values())
    (place / "a").rename(place / "b")
    assert disk.load("b") is None


def test_entries_are_this_users_alone(place):
    before = os.umask(0)
    try:
        kept("a", values())
    finally:
        os.umask(before)
    rights = {path.name: path.stat().st_mode & 0o777 for path in (place, *place.rglob("*"))}
    assert rights == {"activations": 0o700, "a": 0o700, VALUES: 0o600, FACTS: 0o600}
