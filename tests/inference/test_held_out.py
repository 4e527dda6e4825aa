"""A run is measured on what it held out, and says how much of other data it was trained on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.in_process import run as zoo_command
from support.pictures import colours
from torch.utils.data import Dataset, TensorDataset

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.splitting import fifth_held_out
from zoo_core.data.trained_on import read_trained_on, trained_on

QUICK = {"freeze_until": "head", "epochs": 1, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    return zoo.finetune("lenet5", "digits", out=tmp_path_factory.mktemp("a") / "run", **QUICK)


def test_the_held_out_pictures_of_a_run_from_memory_and_from_its_folder(run: zoo.Run) -> None:
    _, val = fifth_held_out(open_data("digits"), 0)
    for subject in (run, run.path, str(run.path)):
        found = zoo.evaluate(subject, progress=False)
        assert found["count"] == len(val) == 359 and found["trained_on"] == 0
        assert found["accuracy"] == pytest.approx(run.accuracy)
        assert found["loss"] == pytest.approx(run.best["val_loss"], rel=1e-5)


def test_how_many_were_trained_on(run: zoo.Run, capsys: pytest.CaptureFixture[str]) -> None:
    train, _ = fifth_held_out(open_data("digits"), 0)
    seen = {train.digest(i) for i in range(len(train))}
    test = open_data("digits#test")
    count = sum(test.digest(i) in seen for i in range(len(test)))
    assert 400 < count < 797
    for subject in (run, run.model, run.path, zoo.create(run.path)):
        assert zoo.evaluate(subject, "digits#test")["trained_on"] == count
        assert f"{count} of 797 pictures were trained on" in capsys.readouterr().err
    assert "trained_on" not in zoo.evaluate("lenet5", "digits#test", progress=False)


def test_the_command(run: zoo.Run) -> None:
    done = zoo_command("evaluate", run.path)
    assert done.returncode == 0, done.stderr
    assert "of 359 right" in done.stdout and "trained on" not in done.stdout + done.stderr
    done = zoo_command("evaluate", run.path, "--data", "digits#train")
    count = zoo.evaluate(run, "digits#train", progress=False)["trained_on"]
    assert f", {count} trained on\n" in done.stdout
    assert f"{count:,} of 1,000 pictures were trained on" in done.stderr
    done = zoo_command("evaluate", run.path, "--data", "digits#train", "--json")
    assert json.loads(done.stdout)["trained_on"] == count
    done = zoo_command("evaluate", "lenet5")
    assert done.returncode == 1 and "lenet5 is no run" in done.stderr and "--data" in done.stderr


def test_a_run_of_a_run_has_seen_what_both_saw(run: zoo.Run, tmp_path: Path) -> None:
    """Another seed holds other pictures out, and the run before was trained on most of them."""
    given = {**QUICK, "seed": 1, "out": tmp_path / "next"}
    again = zoo.finetune(run.path, "digits", **given)
    _, val = fifth_held_out(open_data("digits"), 1)
    count = run.model._trained_on.count(val)
    assert count > 200
    assert zoo.evaluate(again, progress=False)["trained_on"] == count
    assert zoo.evaluate(again.path, progress=False)["trained_on"] == count


def test_validation_data_of_its_own(tmp_path: Path) -> None:
    run = zoo.finetune("lenet5", "digits#train", val="digits#test", out=tmp_path / "run", **QUICK)
    for subject in (run, run.path):
        found = zoo.evaluate(subject, progress=False)
        assert (found["count"], found["trained_on"]) == (797, 0)


def test_what_cannot_be_read_is_left_out_again(tmp_path: Path) -> None:
    folder = colours(tmp_path / "data", {"0": (0, 0, 0), "1": (250, 9, 9)}, count=10)
    (folder / "1" / "2.png").write_bytes(b"text")
    given = {**QUICK, "unreadable": "skip", "out": tmp_path / "run"}
    run = zoo.finetune("lenet5", f"folder:{folder}", **given)
    found = zoo.evaluate(run.path, progress=False)
    assert found["count"] == run.recipe["data"]["val_count"]
    assert found["loss"] == pytest.approx(run.best["val_loss"], rel=1e-4)
    (folder / "0" / "3.png").unlink()
    with pytest.raises(zoo.DataError, match=r"holds other pictures than when .*run was trained"):
        zoo.evaluate(run.path, progress=False)
    shutil.rmtree(folder)
    with pytest.raises(zoo.DataError, match=r"data"):
        zoo.evaluate(run.path, progress=False)


def tensors(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(
        torch.randn(count, 1, 32, 32, generator=generator), torch.arange(count) % 2
    )


def test_objects_are_held_out_in_memory_only(tmp_path: Path) -> None:
    given = {**QUICK, "out": tmp_path / "run"}
    run = zoo.finetune("lenet5", tensors(20, 0), val=tensors(8, 1), **given)
    assert zoo.evaluate(run, progress=False)["count"] == 8
    with pytest.raises(zoo.DataError, match=r"trained on an object in Python, a TensorDataset"):
        zoo.evaluate(run.path, progress=False)
    both = torch.utils.data.ConcatDataset([tensors(20, 0), tensors(8, 1)])
    assert zoo.evaluate(run.path, both, progress=False)["trained_on"] == 20
    folder = colours(tmp_path / "data", {"0": (0, 0, 0), "1": (250, 9, 9)}, count=2)
    found = zoo.evaluate(run, f"folder:{folder}", progress=False)
    assert "trained_on" not in found, "files and tensors cannot be compared"


def test_nothing_was_held_out(tmp_path: Path) -> None:
    run = zoo.finetune("lenet5", "digits#test", val=False, out=tmp_path / "run", **QUICK)
    for subject in (run, run.path):
        with pytest.raises(zoo.DataError, match=r"trained without validation.*data="):
            zoo.evaluate(subject, progress=False)
    assert zoo.evaluate(run, "digits#test", progress=False)["trained_on"] == 797


@pytest.mark.parametrize("subject", ["lenet5", zoo.create])
def test_what_is_no_run(subject: object) -> None:
    model = subject("lenet5") if callable(subject) else subject
    with pytest.raises(zoo.DataError, match=r"is no run, so nothing says .*held out.*data="):
        zoo.evaluate(model, progress=False)


class Noise(Dataset):
    """Another picture each time."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.randn(1, 32, 32), index % 2


def test_a_dataset_of_other_pictures_each_time_is_not_remembered() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert trained_on(open_data(Noise())) is None
    opened = open_data(tensors(8, 0))
    torch.manual_seed(0)
    found = trained_on(opened)
    assert found is not None and found.count(opened) == 8 and len(found.stored) == 0
    assert torch.equal(torch.get_rng_state(), before)


def test_the_file_is_small_and_a_damaged_one_is_named(run: zoo.Run, tmp_path: Path) -> None:
    known = read_trained_on(run.path)
    assert known is not None and np.array_equal(known.stored, run.model._trained_on.stored)
    assert (run.path / "trained_on.npz").stat().st_size < 8 * 1438 + 1000
    assert read_trained_on(tmp_path) is None
    (tmp_path / "trained_on.npz").write_bytes(b"PK damaged")
    with pytest.raises(zoo.RecipeError, match=r"trained_on\.npz cannot be read.*remove|Remove it"):
        read_trained_on(tmp_path)


ROOT = Path(__file__).parent.parent.parent
TRAINED = re.compile(r"zoo finetune .*--data (\S+).*--out (\S+)")
MEASURED = re.compile(r"zoo evaluate (\S+) --data (\S+)")


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in (ROOT / "docs").glob("*"))])
def test_no_page_measures_a_run_on_what_it_was_trained_on(page: str) -> None:
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" else ""
    data_of = {run: data for data, run in TRAINED.findall(text)}
    for run, data in MEASURED.findall(text):
        trained = data_of.get(run, "")
        whole = "#" not in trained and trained == data.partition("#")[0]
        assert not whole and trained != data, f"{page}: {run} was trained on {trained}, and {data}"
