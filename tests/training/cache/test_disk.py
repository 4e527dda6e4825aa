"""Activations on disk: whole or not there, never trusted when damaged, and within a limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support.activations import A, blocks, found, kept, keys, values, whole
from support.full_disk import files_of_at_most
from support.places import TESTS
from support.twins import mapped

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.humanize import byte_size
from zoo_core.training.cache import block, disk, store
from zoo_core.training.cache.disk import FACTS
from zoo_core.training.cache.rows import MappedRows
from zoo_core.training.cache.store import Gathering, NoRoom

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
    return tmp_path / "zoo" / "activations"


def files(place: Path) -> set[str]:
    """All that is there, hidden things too."""
    return {str(path.relative_to(place)) for path in place.rglob("*")}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_is_kept_comes_back(place, dtype):
    tensor = values(7, dtype)
    folder = kept(tensor)
    rows = whole()
    assert rows.dtype == dtype and torch.equal(rows, tensor)
    [entry] = disk.entries()
    assert entry.facts == A and entry.bytes > tensor.nbytes and entry.count() == 7
    assert files(place) == {folder.name, *(f"{folder.name}/{n}" for n in (FACTS, blocks()[0].name))}
    assert whole(7, {**A, "boundary": "fc2"}) is None


def test_other_programs_can_read_it():
    from safetensors.torch import load_file

    kept(values())
    tensors = load_file(blocks()[0])
    assert torch.equal(tensors["activations"], values())
    assert tensors["keys"].numpy().tobytes() == b"".join(keys(7))


@pytest.mark.parametrize("memory", [True, False])
def test_only_what_is_missing_is_missing(memory, monkeypatch):
    """In any order, from any block, and a picture that is there twice, twice."""
    if not memory:
        monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    kept(values(7))
    kept(values(3), numbers=[7, 8, 9])
    both = torch.cat([values(7), values(3)])
    wanted = [9, 20, 3, 3, 0, 21, 8]
    missing, rows = found(wanted)
    assert missing == [1, 5] and torch.equal(rows, both[[9, 3, 3, 0, 8]])
    assert len(blocks()) == 2


def test_what_does_not_fit_in_memory_is_mapped_and_the_file_stays_as_it_is(monkeypatch):
    kept(values())
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    rows = Gathering(A, 7)
    rows.find(keys(7))
    found = rows.finish()
    assert isinstance(found, MappedRows) and mapped(blocks()[0], found.blocks[0])
    found.blocks[0].zero_()
    assert torch.equal(whole(), values())


def test_mapped_rows_are_written_and_read_back(monkeypatch):
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    monkeypatch.setattr(store, "BLOCK", 200)  # nine rows
    rows = Gathering(A, 40)
    for first in (0, 20, 10, 30):
        part = range(first, first + 10)
        rows.put(part, values(40)[first : first + 10], [b""] * 5 + keys(part)[5:])
    found = rows.finish()
    assert isinstance(found, MappedRows) and len(found.blocks) == 4 == len(blocks())
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.index_select(0, order), values(40)[order])
    again = Gathering(A, 40)
    again.find(keys(40))
    assert len(again.missing()) == 20  # what has no key is for this time only


# --- damage --------------------------------------------------------------------------------------


def assert_not_trusted(path: Path, damaged: bytes) -> None:
    """What is read from a damaged file is nothing, or still the right thing."""
    before = path.read_bytes()
    path.write_bytes(damaged)
    rows = whole()
    assert rows is None or torch.equal(rows, values())
    assert rows is not None or not path.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(before)


def test_a_flipped_byte_anywhere_is_noticed():
    kept(values())
    [path] = blocks()
    facts, data = path.with_name(FACTS).read_bytes(), path.read_bytes()
    for position in range(len(data)):
        for bit in (0x01, 0x80) if position < 8 or position % 3 == 0 else (0x10,):
            flipped = bytearray(data)
            flipped[position] ^= bit
            assert_not_trusted(path, bytes(flipped))
            path.with_name(FACTS).write_bytes(facts)


def test_a_file_that_is_cut_off_is_noticed():
    kept(values())
    [path] = blocks()
    data = path.read_bytes()
    for length in (*range(len(data)), len(data) + 1):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((data + b"}")[:length])
        assert whole() is None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert torch.equal(whole(), values())


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "{}", '{"checksum": 1}', "\xff"])
def test_facts_that_are_none_break_nothing(text, capsys):
    """Then nothing is known of a proof; but blocks tell for themselves whose they are."""
    folder = kept(values())
    (folder / FACTS).write_bytes(text.encode("latin-1"))
    assert disk.entry_at(folder) is None and disk.entries() == []
    assert main(["cache"]) == 0 and main(["cache", "--json"]) == 0
    assert torch.equal(whole(), values())
    kept(values(2), numbers=[7, 8])
    assert disk.entries()[0].facts == A and disk.entries()[0].count() == 9


def test_a_block_in_the_folder_of_another_is_none():
    [one, _] = [kept(values()), kept(values(), {**A, "boundary": "fc2"})]
    other = next(path for path in blocks() if path.parent != one)
    (one / other.name).write_bytes(other.read_bytes())
    blocks_of = disk.entry_at(one).blocks
    next(path for path in blocks_of if path.name != other.name).unlink()
    assert whole() is None and not (one / other.name).exists()


@pytest.mark.parametrize(
    "header", ["[]", "{}", '{"activations": 3}', '{"keys": {"dtype": "U8", "shape": 3}}']
)
def test_headers_that_are_none_break_nothing(header):
    kept(values())
    [path], text = blocks(), header.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(168))
    assert disk.entries()[0].count() == 0
    assert whole() is None and not path.exists()


# --- whole or not at all -------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing(place):
    said: list[str] = []
    rows = Gathering(A, 1000, say=said.append)
    with files_of_at_most(1024):
        rows.put(range(1000), values(1000), keys(1000))
        assert torch.equal(rows.finish(), values(1000))
    assert said == ["The cache lasts for this run only: File too large."]
    assert {path.name for path in place.glob("*/*")} == {FACTS} and whole(1000) is None


def test_a_full_disk_without_memory_is_no_room(place, monkeypatch):
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    rows = Gathering(A, 1000)
    with files_of_at_most(1024), pytest.raises(NoRoom, match="File too large"):
        rows.put(range(1000), values(1000), keys(1000))
        rows.finish()
    assert not list(place.glob("*/.new-*"))


def test_what_is_being_written_is_no_block(place):
    folder = kept(values())
    [path] = blocks()
    path.rename(folder / ".new-x")
    assert whole() is None and blocks() == []
    disk.make_room(0)
    assert (folder / ".new-x").exists()
    old = time.time() - 2 * disk.STALE
    os.utime(folder / ".new-x", (old, old))
    disk.make_room(0)
    assert not (folder / ".new-x").exists()


def test_many_writers_at_once(place):
    """Each adds blocks of its own; nobody waits, and nothing is lost."""

    def write(number: int) -> None:
        chosen = [*range(10 * number, 10 * number + 20)]  # the half of them, another adds as well
        kept(values(200)[chosen], numbers=chosen)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    missing, rows = found(range(200))
    assert missing == [*range(170, 200)] and torch.equal(rows, values(200)[:170])
    assert len(disk.entries()) == 1 and not list(place.glob("*/.*"))


def test_a_block_is_written_now_and_then(monkeypatch):
    """So that a kill takes a minute of work, not all of it."""
    monkeypatch.setattr(store, "PATIENCE", 0.0)
    kept(values())
    assert len(blocks()) == 3 and torch.equal(whole(), values())


BUILDER = [sys.executable, str(TESTS / "support" / "cache_builder.py")]


def building(place: Path, out: Path, seconds: float) -> subprocess.Popen[str]:
    env = {**os.environ, "ZOO_CACHE": str(place.parent), "OMP_NUM_THREADS": "1"}
    command = [*BUILDER, str(out), str(seconds)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_leaves_whole_blocks_and_the_next_one_goes_on(place, tmp_path):
    process = building(place, tmp_path / "none.pt", 0.3)
    try:
        until = time.monotonic() + 120
        while not blocks():
            assert time.monotonic() < until and process.poll() is None, process.communicate()
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL and "Caching what enters fc1" in said
    assert not (tmp_path / "none.pt").exists()
    before = disk.entries()[0].count()
    assert 0 < before < 40
    next_one = building(place, tmp_path / "a.pt", 0)
    _, said = next_one.communicate(timeout=120)
    assert next_one.returncode == 0 and f"{40 - before} of 40 rows" in said, said
    assert disk.entries()[0].count() == 40


def test_two_processes_may_build_the_same_at_once(place, tmp_path):
    both = [building(place, tmp_path / f"{name}.pt", 0.05) for name in "ab"]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    first, second = (torch.load(tmp_path / f"{name}.pt") for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(disk.entries()) == 1 and not list(place.glob("*/.*"))


# --- how much is kept ----------------------------------------------------------------------------


def other(stage: str) -> dict[str, str]:
    return {"model": "lenet5", "boundary": stage}


def used(stage: str, ago: float) -> None:
    when = time.time() - ago
    for path in disk.entry_at(disk.place() / disk.key_of(other(stage))).path.iterdir():
        os.utime(path, (when, when))


def stages() -> list[str]:
    return [entry.facts["boundary"] for entry in disk.entries()]


def test_what_was_not_used_for_longest_goes_first(place, monkeypatch):
    for stage, ago in (("a", 30.0), ("b", 20.0), ("c", 10.0)):
        kept(values(100), other(stage))
        used(stage, ago)
    size = disk.entries()[0].bytes
    assert stages() == ["c", "b", "a"]
    assert whole(100, other("a")) is not None  # now used last
    assert stages() == ["a", "c", "b"]
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str(3 * size))
    disk.make_room(0)
    assert stages() == ["a", "c", "b"]
    disk.make_room(1)
    assert stages() == ["a", "c"]
    disk.make_room(3 * size)
    assert stages() == [] and list(place.iterdir()) == []


def test_blocks_go_one_by_one(monkeypatch):
    kept(values(100))
    [first] = blocks()
    os.utime(first, (1.0, 1.0))
    kept(values(50), numbers=range(100, 150))
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str(disk.entries()[0].bytes))
    disk.make_room(1)
    missing, rows = found(150)
    assert missing == [*range(100)] and torch.equal(rows, values(50))


def test_what_an_older_version_kept_goes_first(place, capsys):
    """It had a folder for each set of pictures, which is of no use any more."""
    old = place / ("0" * 32)
    old.mkdir(parents=True)
    (old / disk.OLD).write_bytes(bytes(100))
    (old / FACTS).write_text('{"checksum": "1", "key": "0"}')
    assert disk.entries() == [] and whole() is None
    kept(values())
    assert not old.exists() and len(disk.entries()) == 1


def test_there_is_room_for_what_fits_after_all_else_has_gone(monkeypatch):
    kept(values(100))
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "10kB")
    assert disk.why_no_room(10_000, 0) == ""
    assert disk.why_no_room(10_001, 0) == "10 kB are more than the 10 kB of ZOO_CACHE_LIMIT"
    monkeypatch.setattr(disk, "free_bytes", lambda: 100)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "1GB")
    size = disk.entries()[0].bytes
    assert disk.why_no_room(10_000_000, size) == ""
    assert "do not fit on the disk of" in disk.why_no_room(10_000_000, size + 100)


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


def test_a_folder_for_reading_only_can_be_read(monkeypatch):
    kept(values())

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(block.os, "utime", refused)
    assert torch.equal(whole(), values())


# --- zoo cache -----------------------------------------------------------------------------------


def test_zoo_cache_lists_and_clears(place, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"0 B of 20 GB in {place}\n"
    kept(values(100))
    kept(values(10), {"model": "resnet18", "boundary": "layer4"})
    for path in place.glob("*/*"):
        if json.loads((path.parent / FACTS).read_text())["model"] == "resnet18":
            os.utime(path, (1e9, 1e9))
    assert main(["cache"]) == 0
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "enters", "rows", "size", "last", "used"]
    assert [row.split()[:3] for row in rows] == [
        ["lenet5", "fc1", "100"],
        ["resnet18", "layer4", "10"],
    ]
    size = byte_size(sum(entry.bytes for entry in disk.entries()))
    assert total == f"{size} of 20 GB in {place}"
    assert main(["cache", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["place"] == str(place) and listed["limit"] == 20_000_000_000
    assert [(e["key"], e["model"], e["bytes"], e["rows"]) for e in listed["entries"]] == [
        (entry.key, entry.facts["model"], entry.bytes, entry.count()) for entry in disk.entries()
    ]
    (place / ".new-x").mkdir()
    freed = byte_size(sum(path.stat().st_size for path in place.glob("*/*")))
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"Freed {freed}.\n" and files(place) == set()
    assert main(["cache", "--clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"freed": 0}
