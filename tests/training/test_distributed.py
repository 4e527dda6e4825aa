"""Fine-tuning by two processes on gloo, started as users start them, against one alone."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.places import TESTS

import zoo_core as zoo
from zoo_core.training.distributed import Processes

SCRIPT = TESTS / "support" / "finetuning_processes.py"
LOADED = {"batch_size": 32, "seed": 1}

CASES = {
    "all": {"epochs": 2, "augment": True},
    "a batch that two do not share evenly": {"epochs": 1, "batch_size": 39, "accumulate": 2},
    "cached, with a solved head": {
        "freeze_until": "fc2",
        "epochs": 2,
        "augment": 2,
        "cache": True,
        "head": "ridge",
    },
    "a schedule": {
        "schedule": [["head", 1], ["conv2", 1]],
        "cache": False,
        "regularizers": ["l2-sp=0.1", "ema=0.8", "gradient-clip=1"],
    },
    "stopped early": {
        "epochs": 12,
        "lr": 0.03,
        "freeze_until": "fc1",
        "regularizers": ["early-stopping=1"],
    },
}


def port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def launched(folder: Path, cases: dict[str, dict], *, processes: int, timeout=180):
    folder.mkdir(exist_ok=True)
    own = {"ZOO_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    whole = {name: {**LOADED, **case} for name, case in cases.items()}
    words = [str(SCRIPT), str(folder), json.dumps(whole)]
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
        start += ["--master-port", port()]
    return subprocess.run(
        start + words, env=os.environ | own, capture_output=True, text=True, timeout=timeout
    )


def result(folder: Path, rank: int):
    told = json.loads((folder / f"{rank}.json").read_text())
    return told, torch.load(folder / f"{rank}.pt", weights_only=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory):
    """All cases by one process, and all by two; their stderr by case."""
    folder = tmp_path_factory.mktemp("cases")
    for name, processes in (("one", 1), ("two", 2)):
        done = launched(folder / name, CASES, processes=processes, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        epochs = sum(line.startswith("epoch ") for line in done.stderr.splitlines())
        (folder / name / "epochs").write_text(str(epochs))
    return folder


def test_one_of_two_processes_speaks(both):
    assert (both / "one" / "epochs").read_text() == (both / "two" / "epochs").read_text()


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_what_one_gives(case, both):
    told, weights = result(both / "one" / case, 0)
    for rank in (0, 1):
        ours, theirs = result(both / "two" / case, rank)
        assert ours["best"] == told["best"] and len(ours["rows"]) == len(told["rows"])
        for row, expected in zip(ours["rows"], told["rows"], strict=True):
            assert row == pytest.approx(expected, rel=1e-5)
        for name, tensor in theirs.items():
            assert torch.allclose(tensor, weights[name], rtol=1e-5, atol=1e-7), name


def test_one_folder_is_written_and_two_processes_go_on_in_it(tmp_path):
    folder = tmp_path / "two"
    case = {"folder": True, "regularizers": ["dropout"], "resume": True}
    ended = launched(folder, {"a": case | {"epochs": 1}}, processes=2)
    assert ended.returncode == 0, ended.stderr
    names = sorted(path.name for path in (folder / "a" / "run").iterdir())
    metrics = ["metrics.jsonl", "recipe.toml", "report.html", "trained_on.npz"]
    assert names == ["best.safetensors", "last", *metrics]
    more = case | {"epochs": 2}
    longer = launched(folder, {"a": more, "once": more}, processes=2)
    assert "Going on after epoch 1" in longer.stderr, longer.stderr
    assert longer.returncode == 0, longer.stderr
    for rank in (0, 1):
        told, weights = result(folder / "a", rank)
        expected, theirs = result(folder / "once", rank)
        assert told["rows"] == expected["rows"]
        assert all(torch.equal(weights[name], theirs[name]) for name in theirs)
    alone = launched(folder, {"a": case | {"epochs": 3}}, processes=1)
    assert alone.returncode == 1 and "had 2 processes, and this is 1" in alone.stderr


def test_a_killed_process_ends_the_job(tmp_path):
    start = time.monotonic()
    done = launched(tmp_path, {"a": {"epochs": 50, "regularizers": ["dies"]}}, processes=2)
    assert done.returncode != 0 and time.monotonic() - start < 90
    assert not (tmp_path / "a" / "0.json").exists()


def test_an_error_of_one_is_everybodys(tmp_path):
    (tmp_path / "a" / "run").mkdir(parents=True)
    (tmp_path / "a" / "run" / "note.txt").write_text("mine")
    done = launched(tmp_path, {"a": {"epochs": 1, "folder": True}}, processes=2)
    assert done.returncode != 0 and done.stderr.count("RecipeError") >= 2
    assert "is not empty" in done.stderr


def test_one_process_alone_needs_no_group():
    alone = Processes()
    assert alone.main and alone.gather(3) == [3] and alone.from_main(4) == 4
    assert alone.first(lambda: 5) == 5 and not alone.agree(False)
    tensor = torch.ones(2)
    assert alone.sum(tensor) is tensor
    model = zoo.create("lenet5")
    assert alone.joined(model, idle=False) is model
