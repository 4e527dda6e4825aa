"""augment="auto": fixed views where the frozen part can be kept, and new ones elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.training.replay import replay

FEW = {"progress": False, "batch_size": 8, "out": False, "seed": 0}


@pytest.fixture(scope="module")
def digits() -> zoo.Pictures:
    return open_data("digits#test").subset(range(40))


def augment_of(data: zoo.Pictures, **given: Any) -> Any:
    run = zoo.finetune("lenet5", data, **{"freeze_until": "fc2", "epochs": 32, **FEW, **given})
    return run.recipe["train"]["augment"]


def test_each_of_sixteen_views_is_shown_twice(digits: zoo.Pictures) -> None:
    assert augment_of(digits) == 16
    assert augment_of(digits, epochs=31) is True


@pytest.mark.parametrize(
    "given",
    [
        {"cache": False},
        {"regularizers": ["mixup"]},
        {"freeze_until": "conv1"},
        {"freeze_until": None, "train": "bias"},
        {"freeze_until": None, "epochs": 10, "schedule": "fc2=40"},
    ],
)
def test_elsewhere_they_are_new_in_each_epoch(digits: zoo.Pictures, given: Any) -> None:
    assert augment_of(digits, **given) in (True, "auto")


def test_what_is_said_counts(digits: zoo.Pictures) -> None:
    assert augment_of(digits, augment=True) is True and augment_of(digits, augment=6) == 6
    assert augment_of(digits, freeze_until="head") is False


def test_it_is_said_kept_and_the_same_as_typed(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    how = {**FEW, "batch_size": 256, "epochs": 32, "freeze_until": "fc2", "progress": True}
    run = zoo.finetune("lenet5", "digits#test", **{**how, "out": tmp_path / "run"})
    said = capsys.readouterr().err
    assert "Each picture has 16 fixed views" in said and "Cach" in said
    typed = zoo.finetune("lenet5", "digits#test", augment=16, **how)
    again = replay(tmp_path / "run", out=tmp_path / "again", progress=False)
    losses = [[row["loss"] for row in each.history] for each in (run, typed, again)]
    assert losses[0] == losses[1] == losses[2]
