"""What a training tells of itself: lines on stderr, or records of the log for a service."""

import logging

import pytest

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.training.console import Console

DIGITS = open_data("digits").subset(range(0, 1797, 12))


def train(progress, **given):
    return zoo.finetune("lenet5", DIGITS, batch_size=32, progress=progress, **given)


def records(caplog):
    ours = [one for one in caplog.records if one.name.startswith("zoo_core.")]
    return [one.getMessage() for one in ours if one.levelno == logging.INFO]


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "zoo_core")
    return caplog


def test_a_service_sees_each_epoch_the_begin_and_the_end(told, capsys, tmp_path):
    run = train(False, epochs=3, out=tmp_path / "run")
    begin, *rows, end = records(told)
    assert begin == f"training lenet5 on {DIGITS.name}: 120 pictures, 3 epochs"
    assert [row.split("  ")[0] for row in rows] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    for row, known in zip(rows, run.history, strict=True):
        assert f"loss {known['loss']:.4f}  val loss {known['val_loss']:.4f}" in row
    accuracy = f"val accuracy {run.accuracy:.1%}"
    assert end.startswith("trained lenet5  best epoch ") and end.endswith(str(run.path))
    assert accuracy in end
    assert capsys.readouterr().err == ""

    told.clear()
    again = train(False, epochs=4, out=tmp_path / "run", resume=True)
    begin, row, end = records(told)
    assert begin.endswith("4 epochs, from epoch 4 on") and row.startswith("epoch 4/4")
    assert len(again.history) == 4


def test_without_validation_and_for_a_head_that_is_solved(told):
    train(False, epochs=1, val=False, out=False)
    begin, row, end = records(told)
    assert "1 epoch" in begin and "val" not in row and "val" not in end
    told.clear()
    train(False, epochs=0, head="ridge", freeze_until="head", out=False)
    assert len(records(told)) == 2


def test_with_progress_nothing_is_told_twice(told, capsys):
    train(True, epochs=2, out=False)
    assert records(told) == []
    assert capsys.readouterr().err.count("epoch 1/2") == 1


def test_a_level_above_info_is_silent(capsys):
    train(False, epochs=1, out=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_that_it_was_stopped_is_told(told):
    class Signal(Regularizer):
        def weights(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(False, epochs=2, out=False, regularizers=[Signal()])
    assert records(told)[-1] == "stopped in epoch 1 of 2"


def test_one_of_several_processes_tells(told):
    Console(False).record("another one")
    Console(True, logged=True).record("shown already")
    Console(False, logged=True).record("epoch \x1b[2J")
    assert records(told) == ["epoch \\x1b[2J"]
