"""Files of a run that are written over: whenever a process is killed, what is there is known."""

import os
import shutil
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core import files
from zoo_core.files import hash_of
from zoo_core.runs.sealed import Sealed, seals

STATE = "last/state.pt"


def put(sealed: Sealed, body: bytes) -> None:
    with sealed.written() as temporary:
        temporary.write_bytes(body)


def test_the_new_one_and_the_one_before(tmp_path: Path) -> None:
    assert seals(tmp_path, STATE) is None
    sealed = Sealed(tmp_path, STATE, lasting=True)
    for body in (b"one", b"two", b"three"):
        put(sealed, body)
        assert (tmp_path / STATE).read_bytes() == body
        assert seals(tmp_path, STATE)[0] == hash_of(tmp_path / STATE) == sealed.sha256
    assert len(seals(tmp_path, STATE)) == 2


def test_a_process_that_ends_between_any_two_writes(tmp_path: Path, monkeypatch) -> None:
    """Ended before each rename in turn, and after each: what is there is allowed."""
    renames = 2
    for ends in range(2 * renames):
        folder = tmp_path / str(ends)
        put(Sealed(folder_of(folder), STATE, lasting=True), b"old")
        done, plain = 0, os.rename

        def rename(path: Path, target: Path, ends: int = ends, plain=plain) -> Path:
            nonlocal done
            if done == ends // 2 and not ends % 2:
                raise KeyboardInterrupt
            plain(path, target)
            done += 1
            if done == ends // 2 + 1 and ends % 2:
                raise KeyboardInterrupt
            return target

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "replace", rename)
            put(Sealed(folder, STATE, lasting=True), b"new")  # of a process that begins anew
        assert hash_of(folder / STATE) in seals(folder, STATE)
        assert (folder / STATE).read_bytes() == (b"new" if ends == 3 else b"old")


def folder_of(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"x" * 20_000])
def test_a_list_that_cannot_be_read_allows_nothing(body: bytes, tmp_path: Path) -> None:
    put(Sealed(tmp_path, STATE, lasting=False), b"state")
    (tmp_path / "last" / "state.sha256").write_bytes(body)
    assert hash_of(tmp_path / STATE) not in seals(tmp_path, STATE)


def test_what_must_survive_a_power_cut_is_synced(tmp_path: Path, monkeypatch) -> None:
    synced, plain = [], os.fsync

    def fsync(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with files.written(tmp_path / "a") as temporary:
        temporary.touch()
    assert synced == []
    with files.written(tmp_path / "a", lasting=True) as temporary:
        temporary.touch()
    assert [Path(path).name.partition(".")[0] for path in synced] == ["", tmp_path.name]
    synced.clear()
    zoo.finetune("lenet5", "digits#test", epochs=1, out=tmp_path / "run", progress=False)
    names = {Path(path).name.lstrip(".").rpartition(".")[0] for path in synced}
    assert {"recipe.toml", "state.pt", "state.sha256"} <= names
    whole = {Path(path).name for path in synced}
    assert {"best.safetensors", "metrics.jsonl", "trained_on.npz", "run", "last"} <= whole
    shutil.rmtree(tmp_path / "run")
