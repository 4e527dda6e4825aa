"""Run folders that anybody may have made: each is listed with its fault, and nothing waits."""

import os
import time
from pathlib import Path

import pytest
import tomli_w

import zoo_core as zoo
from zoo_core.runs.comparison import list_runs, read_summary
from zoo_core.runs.recipe import read_history, read_recipe
from zoo_core.training.replay import replay
from zoo_core.training.resume import load_state

WHOLE = {"schema": 1, "model": {"reference": "net"}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(tomli_w.dumps(WHOLE))
    (folder / "metrics.jsonl").write_text('{"epoch": 1}\n')
    return folder


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["recipe.toml", "metrics.jsonl"])
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_what_is_no_file_is_told_and_not_read(name: str, kind: str, run: Path) -> None:
    path = run / name
    path.unlink()
    if kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        (os.mkfifo if kind == "a pipe" else os.mkdir)(path)
    assert f"{kind}, no file" in read_summary(run).fault


@pytest.mark.parametrize(
    "body",
    [
        b"\x00\xff" * 100,
        b"a." * 10**6 + b"a = 1",
        b"".join(b"[t%d]\n" % number for number in range(200_000)),
        b"a = " + b"[" * 10**6,
        b"#" * (5 * 2**20),
        b"schema = 1\n[model]\na = " + b"[" * 50 + b"]" * 50,
        b"schema = 1\ntrain = 3\n[model]\n",
        b"schema = 1\n[model]\n[train]\nepochs = " + b"9" * 4000,
        b"schema = 1\n[model]\n[train]\nschedule = [3]\n",
        b"schema = 1\n[model]\n[train]\nschedule = [[3, 'x']]\n",
    ],
    ids="bytes key tables lists huge deep table number schedule words".split(),
)
def test_one_bad_recipe_does_not_empty_the_list(body: bytes, run: Path) -> None:
    bad = run.with_name("bad")
    bad.mkdir()
    (bad / "recipe.toml").write_bytes(body)
    start = time.perf_counter()
    found = {summary.path.name: summary for summary in list_runs([run.parent])}
    assert time.perf_counter() - start < 5
    assert found["bad"].fault and found["one"].model == "net"
    assert len(found["bad"].fault) < 500 and "\n" not in found["bad"].fault


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"epoch": 1}\n\xff\xfe\n{}\n', "metrics.jsonl is no text: "),
        (b'{"epoch": 1}\n{"epoch"\n{}\n', "metrics.jsonl, line 2: "),
        (b"[" * 100_000 + b"\n{}\n", "metrics.jsonl, line 1: "),
        (b"3\n{}\n", "metrics.jsonl, line 1 is no row"),
    ],
)
def test_damaged_rows(body: bytes, told: str, run: Path) -> None:
    (run / "metrics.jsonl").write_bytes(body)
    with pytest.raises(zoo.RecipeError, match=told):
        read_history(run)
    assert told in read_summary(run).fault


def test_a_folder_that_may_not_be_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user sees it: for root, who runs some tests, everything may be read."""
    shut, plain = run.with_name("shut"), Path.exists
    shut.mkdir()

    def exists(path: Path, **given: bool) -> bool:
        if path.parent == shut:
            raise PermissionError(13, "Permission denied")
        return plain(path, **given)

    monkeypatch.setattr(Path, "exists", exists)
    assert [summary.path.name for summary in list_runs([run.parent])] == ["one", "shut"]


def test_a_state_that_is_a_pipe(run: Path) -> None:
    (run / "last").mkdir()
    pipe(run / "last" / "state.pt")
    with pytest.raises(zoo.RecipeError, match=r"state\.pt cannot be read: is a pipe, no file"):
        load_state(run)


def test_a_recipe_chooses_no_tracker(run: Path) -> None:
    table = {"start": {"model": "lenet5"}, "data": {"spec": "digits"}}
    told = {**WHOLE, **table, "train": {"tracker": "wandb"}}
    (run / "recipe.toml").write_text(tomli_w.dumps(told))
    assert read_recipe(run) == told
    with pytest.raises(zoo.RecipeError, match=r"does not know: tracker in \[train\]"):
        replay(run, out=run.with_name("new"), progress=False)
    assert not run.with_name("new").exists()
