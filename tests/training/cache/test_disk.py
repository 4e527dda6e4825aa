"""Activations on disk: whole or not there, never trusted when damaged, and within a limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.activations import kept, values
from support.full_disk import files_of_at_most
from support.places import TESTS
from support.twins import mapped

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.humanize import byte_size
from zoo_core.training.cache import disk
from zoo_core.training.cache.disk import FACTS, VALUES, Sink

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
    return tmp_path / "zoo" / "activations"


def files(place: Path) -> set[str]:
    """All that is there, hidden things too."""
    return {str(path.relative_to(place)) for path in place.rglob("*")}


WHOLE = {"a", f"a/{VALUES}", f"a/{FACTS}"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_is_kept_comes_back(place, dtype):
    tensor = values(7, dtype)
    kept("a", tensor, model="lenet5")
    found = disk.load("a")
    assert found.dtype == dtype and torch.equal(found, tensor) and files(place) == WHOLE
    [entry] = disk.entries()
    assert entry.facts["model"] == "lenet5" and entry.bytes > tensor.nbytes
    assert disk.load("b") is None


def test_other_programs_can_read_it(place):
    from safetensors.torch import load_file

    kept("a", values())
    assert torch.equal(load_file(place / "a" / VALUES)["activations"], values())


def test_what_does_not_fit_in_memory_is_mapped_and_the_file_stays_as_it_is(place, monkeypatch):
    kept("a", values())
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    found = disk.load("a")
    assert torch.equal(found, values()) and mapped(place / "a" / VALUES, found)
    found.zero_()
    assert torch.equal(disk.load("a"), values())
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_CACHE", str(place.parent))
    assert not mapped(place / "a" / VALUES, disk.load("a"))


# --- damage --------------------------------------------------------------------------------------


def assert_not_trusted(path: Path, damaged: bytes) -> None:
    """What is read from a damaged file is nothing, or still the right thing."""
    before = path.read_bytes()
    path.write_bytes(damaged)
    found = disk.load("a")
    assert found is None or torch.equal(found, values())
    if found is None and path.parent.exists():  # facts that are none: not an entry
        assert disk.entries() == []
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(before)


@pytest.mark.parametrize("name", [VALUES, FACTS])
def test_a_flipped_byte_anywhere_is_noticed(place, name):
    kept("a", values(), model="lenet5", count=7)
    whole = {path.name: path.read_bytes() for path in (place / "a").iterdir()}
    data = whole[name]
    for position in range(len(data)):
        for bit in (0x01, 0x80) if position < 8 or position % 3 == 0 else (0x10,):
            flipped = bytearray(data)
            flipped[position] ^= bit
            assert_not_trusted(place / "a" / name, bytes(flipped))
            for other, content in whole.items():
                (place / "a" / other).write_bytes(content)


@pytest.mark.parametrize("name", [VALUES, FACTS])
def test_a_file_that_is_cut_off_is_noticed(place, name):
    kept("a", values())
    whole = {path.name: path.read_bytes() for path in (place / "a").iterdir()}
    for length in (*range(len(whole[name])), len(whole[name]) + 1):
        (place / "a" / name).write_bytes((whole[name] + b"}")[:length])
        assert disk.load("a") is None
        (place / "a").mkdir(exist_ok=True)
        for other, content in whole.items():
            (place / "a" / other).write_bytes(content)
    assert torch.equal(disk.load("a"), values())


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "{}", '{"checksum": 1}', "\xff"])
def test_facts_that_are_none_break_nothing(place, text, capsys):
    kept("a", values())
    (place / "a" / FACTS).write_bytes(text.encode("latin-1"))
    assert main(["cache"]) == 0 and main(["cache", "--json"]) == 0
    assert disk.load("a") is None
    kept("a", values())
    assert torch.equal(disk.load("a"), values())


@pytest.mark.parametrize(
    "header", ["[]", "{}", '{"activations": 3}', '{"activations": {"dtype": "F32", "shape": 3}}']
)
def test_headers_that_are_none_break_nothing(place, header):
    kept("a", values())
    text = header.encode()
    (place / "a" / VALUES).write_bytes(len(text).to_bytes(8, "little") + text + bytes(168))
    assert disk.load("a") is None and not (place / "a").exists()


# --- whole or not at all -------------------------------------------------------------------------


def test_a_full_disk_is_noticed_at_the_write(place):
    temporary = disk.temporary_entry()
    sink = Sink(temporary, 1000, values(1000))
    sink.put(0, values(10))
    with files_of_at_most(1024), pytest.raises(OSError, match="File too large"):
        sink.put(500, values(10))
    sink.close()


def test_what_is_being_written_is_no_entry(place):
    """Also in the moment when all is written and the folder has not got its name."""
    kept("a", values())
    (place / "a").rename(place / ".new-x")
    assert disk.entries() == [] and disk.load(".new-x") is None
    disk.make_room(0)
    assert (place / ".new-x").exists()
    old = time.time() - 2 * disk.STALE
    os.utime(place / ".new-x", (old, old))
    disk.make_room(0)
    assert files(place) == set()


def test_two_writers_share_a_file(place):
    """Each process writes its part of each batch, and neither empties the other's file."""
    tensor = values(8)
    temporary = disk.temporary_entry()
    first = Sink(temporary, 8, tensor)
    first.put(0, tensor[:4])
    second = Sink(temporary, 8, tensor)
    second.put(4, tensor[4:])
    first.close()
    second.close()
    disk.finish(temporary, "a", {})
    assert torch.equal(disk.load("a"), tensor)


def test_who_comes_second_leaves_what_is_there(place):
    kept("a", values(), by="first")
    kept("a", values(), by="second")
    assert files(place) == WHOLE and disk.entries()[0].facts["by"] == "first"


BUILDER = [sys.executable, str(TESTS / "support" / "cache_builder.py")]


def building(place: Path, out: Path, seconds: float) -> subprocess.Popen[str]:
    env = {**os.environ, "ZOO_CACHE": str(place.parent), "OMP_NUM_THREADS": "1"}
    command = [*BUILDER, str(out), str(seconds)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_leaves_no_entry_and_the_next_one_works(place, tmp_path):
    process = building(place, tmp_path / "none.pt", 0.3)
    try:
        until = time.monotonic() + 120
        while not list(place.glob(f".new-*/{VALUES}")):
            assert time.monotonic() < until and process.poll() is None, process.communicate()
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL and "Caching what enters fc1" in said
    assert disk.entries() == [] and not (tmp_path / "none.pt").exists()
    assert list(place.glob(".new-*"))  # what is left of it, until it is a day old
    next_one = building(place, tmp_path / "a.pt", 0)
    _, said = next_one.communicate(timeout=120)
    assert next_one.returncode == 0 and "Caching" in said, said
    assert len(disk.entries()) == 2  # pictures for training and for validation


def test_two_processes_may_build_the_same_at_once(place, tmp_path):
    both = [building(place, tmp_path / f"{name}.pt", 0.05) for name in "ab"]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    first, second = (torch.load(tmp_path / f"{name}.pt") for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    names = {entry.key for entry in disk.entries()}
    assert len(names) == 2 and {path.name for path in place.iterdir()} == names


# --- how much is kept ----------------------------------------------------------------------------


def used(key: str, ago: float) -> None:
    when = time.time() - ago
    os.utime(disk.place() / key / FACTS, (when, when))


def names() -> list[str]:
    return [entry.key for entry in disk.entries()]


def test_what_was_not_used_for_longest_goes_first(place, monkeypatch):
    for key, ago in (("a", 30.0), ("b", 20.0), ("c", 10.0)):
        kept(key, values(100))
        used(key, ago)
    size = disk.entries()[0].bytes
    assert names() == ["c", "b", "a"]
    assert disk.load("a") is not None  # now used last
    assert names() == ["a", "c", "b"]
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str(3 * size))
    disk.make_room(0)
    assert names() == ["a", "c", "b"]
    disk.make_room(1)
    assert names() == ["a", "c"]
    disk.make_room(3 * size)
    assert names() == []


def test_there_is_room_for_what_fits_after_all_else_has_gone(place, monkeypatch):
    kept("a", values(100))
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "10kB")
    assert disk.why_no_room(10_000) == ""
    assert disk.why_no_room(10_001) == "10 kB are more than the 10 kB of ZOO_CACHE_LIMIT"
    monkeypatch.setattr(disk, "free_bytes", lambda: 100)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "1GB")
    size = disk.entries()[0].bytes
    assert disk.why_no_room(size) == ""
    assert "do not fit on the disk of" in disk.why_no_room(size + 100)


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20e9), ("1.5 GB", 1.5e9), ("800mb", 8e8), ("2 TB", 2e12), ("7", 7), (" 3kB ", 3e3)],
)
def test_sizes_as_people_write_them(text, size):
    assert disk.parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "GB", "-1", "-2GB", "nan", "inf", "20GiB", "1e400", "B"])
def test_what_is_no_size(text, monkeypatch, capsys):
    with pytest.raises(zoo.RecipeError, match=r"is no size\. Write 20GB or 500MB\."):
        disk.parse_size(text)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", text)
    assert main(["cache"]) == 1
    error = capsys.readouterr().err
    assert f'ZOO_CACHE_LIMIT="{text}" is no size' in error and "Traceback" not in error


def test_no_limit_is_the_default_one(monkeypatch):
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "")
    assert disk.limit() == 20_000_000_000


def test_a_folder_for_reading_only_can_be_read(place, monkeypatch):
    kept("a", values())

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.os, "utime", refused)
    assert torch.equal(disk.load("a"), values()) and files(place) == WHOLE


# --- zoo cache -----------------------------------------------------------------------------------


def test_zoo_cache_lists_and_clears(place, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"0 B of 20 GB in {place}\n"
    kept("a", values(100), model="lenet5", boundary="fc1", count=100, name="digits")
    kept("b", values(10), model="resnet18", boundary="layer4", count=10, views=[3, 0])
    used("b", 3600)
    assert main(["cache"]) == 0
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split() == [
        *("model", "enters", "pictures", "views", "size", "last", "used", "data")
    ]
    assert [(*row.split()[:6], row.split()[-1]) for row in rows] == [
        ("lenet5", "fc1", "100", "1", "2.5", "kB", "digits"),
        ("resnet18", "layer4", "10", "3", "328", "B", "?"),  # of an older version
    ]
    assert total == f"2.8 kB of 20 GB in {place}"
    assert main(["cache", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["place"] == str(place) and found["limit"] == 20_000_000_000
    assert [(e["key"], e["model"], e["bytes"]) for e in found["entries"]] == [
        (entry.key, entry.facts["model"], entry.bytes) for entry in disk.entries()
    ]
    (place / ".new-x").mkdir()
    freed = byte_size(sum(path.stat().st_size for path in place.glob("*/*")))
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"Freed {freed}.\n" and files(place) == set()
    assert main(["cache", "--clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"freed": 0}
