"""A folder that is the old one or the new one, whenever its process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.small_disk import small_disk

import zoo_core as zoo
from zoo_core.publish import swap
from zoo_core.publish.swap import replaced_folder

OWN = {"config", "weights", "obsolete"}

# Ends as kill -9 does, at the step of a number: whatever is done to names of files is a step.
KILLED = """
import os, sys
from pathlib import Path
from zoo_core.publish.swap import replaced_folder
left = int(sys.argv[2])
def step(event, args):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "shutil.rmtree"):
        left -= 1
        if left < 0:
            os._exit(9)
with replaced_folder(Path(sys.argv[1]), {"config", "weights", "obsolete"}) as draft:
    (draft / "config").write_text("new")
    (draft / "weights").write_text("new")
    sys.addaudithook(step)
"""


def old_folder(folder: Path) -> Path:
    (folder / "inside").mkdir(parents=True)
    for name in OWN:
        (folder / name).write_text("old")
    for name in ("mine", "inside/mine"):
        (folder / name).write_text("mine")
    (folder / "link").symlink_to("mine")
    return folder


def found(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(name): path.read_text() for name, path in files.items()}


MINE = {"mine": "mine", "inside/mine": "mine", "link": "mine"}
OLD = {**MINE, **dict.fromkeys(OWN, "old")}
NEW = {**MINE, "config": "new", "weights": "new"}


def test_it_is_killed_at_every_step(tmp_path):
    seen = []
    for step in range(40):
        folder = old_folder(tmp_path / str(step) / "model")
        done = subprocess.run([sys.executable, "-c", KILLED, folder, str(step)], check=False)
        seen.append(found(folder))
        assert seen[-1] in (OLD, NEW), (step, seen[-1])
        if done.returncode == 0:
            break
        assert done.returncode == 9
    assert seen[0] == OLD and seen[-1] == NEW and 8 < len(seen) < 40
    assert (folder / "link").is_symlink() and [p.name for p in folder.parent.iterdir()] == ["model"]


def write_new(folder: Path) -> None:
    with replaced_folder(folder, OWN) as draft:
        for name in ("config", "weights"):
            (draft / name).write_text("new")


@pytest.mark.parametrize("how", ["exchange", "current", "none", "cannot"])
def test_where_two_folders_cannot_change_places_files_do(how, tmp_path, monkeypatch):
    folder = old_folder(tmp_path / "model")
    before = folder.stat().st_ino
    if how == "current":  # a shell would be left in a folder that is gone
        monkeypatch.chdir(folder / "inside")
    if how == "none":
        monkeypatch.setattr(swap, "_EXCHANGE", {})
    if how == "cannot":
        monkeypatch.setitem(swap._EXCHANGE, sys.platform, ("renameat2", -100, 1 << 30))
    write_new(folder)
    assert found(folder) == NEW and [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder.stat().st_ino == before) is (how != "exchange")


def test_a_link_to_a_folder_stays_one(tmp_path):
    folder = old_folder(tmp_path / "model")
    (tmp_path / "link").symlink_to(folder)
    write_new(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and found(folder) == NEW


def test_a_new_folder_has_the_usual_rights_and_an_old_one_its_own(tmp_path):
    before = os.umask(0o022)
    try:
        write_new(tmp_path / "made")
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755
        (tmp_path / "made").chmod(0o750)
        write_new(tmp_path / "made")
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / "made" / "config").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_what_fails_leaves_the_old_folder(tmp_path):
    folder = old_folder(tmp_path / "model")
    with pytest.raises(ValueError, match="no"), replaced_folder(folder, OWN) as draft:
        (draft / "config").write_text("new")
        raise ValueError("no")
    assert found(folder) == OLD and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_save_pretrained_changes_the_whole_export(tmp_path):
    first, second = (zoo.create("lenet5", pretrained=True).reset_head(n) for n in (3, 5))
    folder = first.save_pretrained(tmp_path / "model", delta=True)
    (folder / "notes.txt").write_text("mine")
    second.save_pretrained(folder)
    again = zoo.create(folder)
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in second.state_dict().items())
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.safetensors", "config.json", "README.md", "notes.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_save_pretrained_on_a_full_disk_leaves_the_old_export(tmp_path):
    with small_disk(tmp_path / "disk", 600_000) as disk:
        model = zoo.create("lenet5", pretrained=True)
        folder = model.save_pretrained(disk / "model")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        (disk / "other").write_bytes(bytes(200_000))
        with pytest.raises(zoo.PublishError, match=r"model cannot be written: .*No space left"):
            model.reset_head(9).save_pretrained(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert {path.name for path in disk.iterdir()} == {"model", "other"}
