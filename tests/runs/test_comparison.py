"""`zoo runs`: run folders side by side, whole ones and what is left of others."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.runs.comparison import differences, in_order, list_runs, read_summary
from zoo_core.runs.recipe import read_history

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    given = {"epochs": 2, "augment": False, "out": folder, "progress": False}
    zoo.finetune("lenet5", "digits#test", freeze_until="fc2", regularizers="l2=1e-4", **given)
    return folder


def write(folder: Path, rows: list[dict[str, Any]], **recipe: Any) -> Path:
    """A run folder as zoo writes it, without weights."""
    folder.mkdir(parents=True)
    whole = {"schema": 1, "model": {"reference": "net"}, "data": {"spec": "digits"}, **recipe}
    (folder / "recipe.toml").write_text(tomli_w.dumps(whole))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(epoch: int, loss: float, accuracy: float) -> dict[str, Any]:
    return {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy, "seconds": 2.5}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/ with three runs, one of them a folder deeper; and something else."""
    monkeypatch.chdir(tmp_path)
    here = Path("runs")
    best, worse = row(1, 0.5, 0.8), row(2, 0.6, 0.9)
    train = {"epochs": 2, "lr": 0.1, "freeze_until": "fc2", "regularizers": ["l2=1e-4", "ema"]}
    write(here / "net-2", [best, worse], train=train, result=best)
    other = {"epochs": 2, "lr": 0.2, "freeze_until": "fc2"}
    write(here / "net-10", [best, worse], train=other, result=worse)
    write(here / "sweep" / "a", [best], train={"epochs": 9}, result=row(1, 0.4, 0.7))
    (here / "notes").mkdir()
    (here / "notes" / "todo.txt").touch()
    return here


def said(capsys: Capture, *words: str, code: int = 0) -> tuple[str, str]:
    """What `zoo runs` prints on stdout and on stderr."""
    capsys.readouterr()
    assert main(["runs", *words]) == code
    return tuple(capsys.readouterr())


# --- listing -------------------------------------------------------------------------------------


def test_a_real_run(trained: Path, capsys: Capture) -> None:
    found = read_summary(trained)
    history = read_history(trained)
    best = min(history, key=lambda row: row["val_loss"])
    assert (found.model, found.data, found.trains) == ("lenet5", "digits#test", "fc2:")
    assert found.regularizers == ("l2=1e-4",) and found.fault == ""
    assert (found.epochs, found.epochs_done, found.best_epoch) == (2, 2, best["epoch"])
    assert found.val_accuracy == best["val_accuracy"] and found.val_loss == best["val_loss"]
    epochs = sum(row["seconds"] for row in history)
    assert found.seconds == pytest.approx(epochs + found.seconds_caching, abs=0.002)
    assert found.seconds_caching > 0
    header, line = said(capsys, str(trained))[0].splitlines()
    assert header.split() == (
        "run model data trains epochs best accuracy loss time regularizers".split()
    )
    accuracy = f"{best['val_accuracy']:.1%}"
    wanted = [str(trained), "lenet5", "digits#test", "fc2:", "2/2", f"{best['epoch']}", accuracy]
    assert line.split()[:7] == wanted


def test_all_runs_are_listed_in_the_order_of_their_names(runs: Path, capsys: Capture) -> None:
    out, err = said(capsys)
    assert [line.split()[0] for line in out.splitlines()] == (
        ["run", "runs/net-2", "runs/net-10", "runs/sweep/a"]
    )
    assert out.splitlines()[1].split() == (
        "runs/net-2 net digits fc2: 2/2 1 80.0% 0.5000 5.0 s l2=1e-4 ema".split()
    )
    assert err == ""
    assert said(capsys, "runs", "--json") == said(capsys, "--json")


def test_sorting(runs: Path, capsys: Capture) -> None:
    def order(key: str) -> list[str]:
        return [row["path"] for row in json.loads(said(capsys, "--json", "--sort", key)[0])]

    assert order("val_accuracy") == ["runs/net-10", "runs/net-2", "runs/sweep/a"]
    assert order("val_loss") == ["runs/sweep/a", "runs/net-2", "runs/net-10"]
    assert order("seconds") == ["runs/sweep/a", "runs/net-2", "runs/net-10"]
    assert order("path") == ["runs/net-2", "runs/net-10", "runs/sweep/a"]
    error = said(capsys, "--sort", "luck", code=2)[1]
    assert "val_accuracy" in error


def test_csv_has_the_fields_of_json(runs: Path, capsys: Capture) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, "--csv")[0])))
    records = json.loads(said(capsys, "--json")[0])
    assert [list(row) for row in rows] == [list(record) for record in records]
    assert rows[0]["regularizers"] == "l2=1e-4 ema" and float(rows[0]["val_accuracy"]) == 0.8
    assert records[0]["regularizers"] == ["l2=1e-4", "ema"]


def test_what_is_broken_is_told_and_the_rest_is_listed(runs: Path, capsys: Capture) -> None:
    (runs / "half").mkdir()
    (runs / "half" / "metrics.jsonl").write_text('{"epoch": 1')
    (runs / "net-10" / "recipe.toml").write_text("x = = 3")
    broken = write(runs / "lines", [], result={})
    (broken / "metrics.jsonl").write_text("{}\nno json\n{}\n")
    (write(runs / "newer", []) / "recipe.toml").write_text("schema = 99\n[model]\n")
    out, err = said(capsys)
    listed = [line.split()[0] for line in out.splitlines()[1:]]
    assert listed == ["runs/net-2", "runs/sweep/a"]
    assert "runs/half: no run: recipe.toml cannot be read: No such file" in err
    assert "runs/net-10: recipe.toml is not valid TOML" in err
    assert "runs/lines: metrics.jsonl, line 2: " in err
    assert "runs/newer: recipe.toml is no recipe of schema 1." in err
    faults = {row["path"]: row["fault"] for row in json.loads(said(capsys, "--json")[0])}
    assert len(faults) == 6 and sum(map(bool, faults.values())) == 4


def test_a_run_that_was_stopped(tmp_path: Path) -> None:
    rows = [row(1, 0.5, 0.8), row(2, 0.4, 0.85), row(3, 0.6, 0.7)]
    folder = write(tmp_path / "run", rows, train={"epochs": 9})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')  # as it is when the power fails
    found = read_summary(folder)
    assert found.fault == "not finished: 3 of 9 epochs"
    assert (found.best_epoch, found.val_accuracy, found.epochs_done) == (2, 0.85, 3)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("train", "regularizers", 3),
        ("train", "schedule", [1, 2]),
        ("train", "epochs", "many"),
        ("result", "val_accuracy", "good"),
        ("result", "val_loss", float("nan")),
        ("data", "spec", {"a": 1}),
    ],
)
def test_a_recipe_that_somebody_edited(
    tmp_path: Path, capsys: Capture, table: str, key: str, value: Any
) -> None:
    folder = write(tmp_path / "run", [row(1, 0.5, 0.8)], **{table: {key: value}})
    for how in ([], ["--json"], ["--csv"], ["--sort", "val_accuracy"]):
        said(capsys, str(folder), *how)


def test_missing_things_are_missing_not_wrong(tmp_path: Path) -> None:
    found = read_summary(write(tmp_path / "run", [{"epoch": 1, "loss": 2.0}], result={"epoch": 1}))
    assert (found.val_accuracy, found.val_loss, found.epochs) == (None, None, None)
    assert found.trains == "all" and found.seconds == 0
    better = read_summary(write(tmp_path / "with", [], result={"val_accuracy": 0.1}))
    assert in_order([found, better], "val_accuracy") == [better, found]


def test_a_schedule(tmp_path: Path) -> None:
    train = {"epochs": 10, "schedule": [["head", 3], ["fc2", 5]]}
    solved = {"epoch": 0, "val_loss": 0.5}
    found = read_summary(write(tmp_path / "run", [solved, row(1, 0.4, 0.9)], train=train))
    assert (found.trains, found.epochs, found.epochs_done) == ("head 3, fc2 5", 8, 1)


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = said(capsys)
    assert out == "" and err.startswith("No runs in runs/. Make one: zoo finetune ")
    assert said(capsys, "--json") == ("[]\n", "")
    assert said(capsys, "--csv")[0].startswith("path,model,data,")


def test_a_folder_that_is_not_there(runs: Path, capsys: Capture) -> None:
    out, err = said(capsys, "runs/net-3", code=1)
    assert out == "" and err.startswith("Error: No folder runs/net-3.")


# --- comparing -----------------------------------------------------------------------------------


def test_two_runs_side_by_side(runs: Path, capsys: Capture) -> None:
    out, err = said(capsys, "runs/net-2", "runs/net-10")
    assert err == ""
    table = {line[:19].strip(): line[19:].split("  ") for line in out.splitlines()}
    cells = {name: [cell.strip() for cell in own if cell.strip()] for name, own in table.items()}
    assert cells == {
        "": ["runs/net-2", "runs/net-10"],
        "epochs": ["2/2", "2/2"],
        "best epoch": ["1", "2"],
        "val accuracy": ["80.0%", "90.0%"],
        "val loss": ["0.5000", "0.6000"],
        "time": ["5.0 s", "5.0 s"],
        "train.lr": ["0.1", "0.2"],
        "train.regularizers": ["l2=1e-4, ema", "-"],
    }
    both = json.loads(said(capsys, "runs/net-2", "runs/net-10", "--json")[0])
    assert both["differences"] == {
        "train.lr": [0.1, 0.2],
        "train.regularizers": [["l2=1e-4", "ema"], None],
    }
    assert [run["path"] for run in both["runs"]] == ["runs/net-2", "runs/net-10"]


def test_twins_do_not_differ(trained: Path, tmp_path: Path, capsys: Capture) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(trained, twin)
    assert "Their recipes do not differ." in said(capsys, str(trained), str(twin))[1]


def test_a_broken_one_among_those_compared(runs: Path, capsys: Capture) -> None:
    (runs / "net-10" / "recipe.toml").unlink()
    out, err = said(capsys, "runs/net-2", "runs/net-10", "runs/sweep/a")
    assert out.splitlines()[0].split() == ["runs/net-2", "runs/sweep/a"]
    assert err.startswith("runs/net-10: no run")
    assert said(capsys, "runs/net-10", "runs/net-10")[0] == ""


def test_differences_of_nested_tables() -> None:
    first = {"a": {"b": 1, "c": {"d": 2}}, "result": {"x": 1}}
    second = {"a": {"b": 1, "c": {"d": 3}, "e": 4}, "result": {"x": 2}}
    assert differences([first, second]) == {"a.c.d": [2, 3], "a.e": [None, 4]}
    assert differences([first]) == {}


def test_as_a_process_without_torch(runs: Path) -> None:
    """A table of runs needs no torch, and is there at once."""
    Path("sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    words = [sys.executable, "-m", "zoo_core", "runs"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "ZOO_PLUGINS": ""}
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 4


def test_list_runs_takes_runs_and_folders_of_runs(runs: Path) -> None:
    found = list_runs([runs / "sweep", runs / "net-2"])
    assert [run.path for run in found] == [runs / "sweep" / "a", runs / "net-2"]
