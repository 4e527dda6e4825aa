"""A run folder has one owner: a process that has it for as long as it lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core.runs.folder import RunFolder, new_folder
from zoo_core.runs.owner import OWNER, Owner

HOLDS = """
import sys, time
from pathlib import Path
from zoo_core.runs.owner import Owner
owner = Owner(Path(sys.argv[1]))
print("mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that owns a folder."""
    words = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_gets_one_line(other, tmp_path: Path) -> None:
    for resume in (False, True):
        with pytest.raises(zoo.RecipeError) as caught:
            RunFolder(tmp_path / "run", resume=resume)
        text = str(caught.value)
        assert f"under way in {tmp_path / 'run'}, by process {other.pid} on " in text
        assert "\n" not in text and "choose another folder" in text


def test_a_killed_owner_holds_nothing(other, tmp_path: Path) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / "run" / OWNER).exists()
    folder = RunFolder(tmp_path / "run")
    folder.release()
    assert not (tmp_path / "run").exists()


def test_one_process_is_no_exception(tmp_path: Path) -> None:
    first = Owner(tmp_path)
    for _ in range(2):  # looking does not end the lock of this process
        with pytest.raises(zoo.RecipeError, match=rf"by process {os.getpid()} on "):
            Owner(tmp_path)
    words = [sys.executable, "-c", HOLDS, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert "A training is under way" in done.stderr and done.stdout == ""
    first.release()
    first.release()
    Owner(tmp_path).release()
    assert not list(tmp_path.iterdir())


def test_a_forked_process_does_not_have_it(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    child = os.fork()
    if not child:
        owner.release()  # of its parent: not its own
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(zoo.RecipeError):
        Owner(tmp_path)
    assert (tmp_path / OWNER).exists()
    owner.release()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_locked(kind: str, tmp_path: Path) -> None:
    there = tmp_path / "run"
    there.mkdir()
    if kind == "link":
        (there / OWNER).symlink_to(tmp_path / "elsewhere")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(there / OWNER)
    with pytest.raises(zoo.RecipeError, match="cannot be written"):
        RunFolder(there)
    assert not (tmp_path / "elsewhere").exists()


def test_a_training_leaves_a_folder_of_somebody_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(zoo.RecipeError, match="is not empty"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    left = [".recipe.toml.abcd1234", "last/.state.pt.a_cd1234", ".trained_on.npz.abcd1234"]
    for name in left:
        (tmp_path / name).touch()
    (tmp_path / "recipe.toml").touch()
    (tmp_path / ".mine.toml").touch()
    folder = RunFolder(tmp_path, resume=True)
    assert not any((tmp_path / name).exists() for name in left)
    folder.release()
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.toml", ".mine.toml", "last"}


def test_new_folders_are_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [new_folder("net", "digits").name for _ in range(2)] == ["net-digits-1", "net-digits-2"]


def test_a_training_and_a_resume_are_refused_while_another_trains(other, tmp_path: Path) -> None:
    given = {"epochs": 1, "out": tmp_path / "run", "progress": False}
    for resume in (False, True):
        with pytest.raises(zoo.RecipeError, match="A training is under way"):
            zoo.finetune("lenet5", "digits#test", resume=resume, **given)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [OWNER]


def test_a_file_in_the_place_of_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").touch()
    with pytest.raises(zoo.RecipeError, match="The run folder runs cannot be written"):
        new_folder("lenet5", "digits")
