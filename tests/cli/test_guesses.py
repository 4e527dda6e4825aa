"""First guesses: taken, or answered with the right word."""

from __future__ import annotations

import pytest
from support.in_process import run

import zoo_core as zoo
from zoo_core.runs.recipe import read_history
from zoo_core.training.replay import replay


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        (("--device", "cuda"), 2, "takes the GPU that there is; CUDA_VISIBLE_DEVICES="),
        (("--gpu",), 2, "takes the GPU that there is"),
        (("--learning_rate=0.1",), 2, "Here it is --lr."),
        (("--weight-decay", "0.1"), 2, "Here it is -r l2=VALUE."),
        (("--early-stopping", "3"), 2, "Here it is -r early-stopping=VALUE."),
        (("--img-size", "64"), 2, "Here it is --config img_size=SIDE."),
        (("--fooo",), 2, "No such option '--fooo'."),
        (("--optimizer", "adam"), 1, 'Closest: "adamw"'),
        (("--optimizer", "SGD"), 1, 'Closest: "sgd"'),
        (("--precision", "float16"), 1, 'Closest: "fp16"'),
        (("-r", "weight-decay=0.1"), 1, 'No regularizer "weight-decay". Closest: "l2".'),
        (("-r", "weight_decay=0.1"), 1, 'Closest: "l2".'),
        (("-r", "drop_path"), 1, 'Closest: "stochastic-depth".'),
        (("--epochs", "0"), 1, 'With head="ridge" (--head ridge)'),
    ],
)
def test_a_first_guess_is_answered(tmp_path, typed, code, words):
    done = run("finetune", "lenet5", "--data", "digits#test", "--out", tmp_path / "run", *typed)
    assert done.returncode == code and words in done.stderr and not (tmp_path / "run").exists()


def test_other_commands_name_what_they_have():
    assert "works on the CPU" in run("predict", "lenet5", "a.png", "--device", "cuda").stderr
    assert "Here it is --top." in run("predict", "lenet5", "a.png", "--top-k", "2").stderr
    assert "Here it is" not in run("evaluate", "lenet5", "--top-k", "2").stderr  # it has none


def test_every_alias_is_nobodys_name():
    from zoo_core.plugins.catalogue import catalogue

    known = catalogue().regularizers()
    aliases = [alias for spec in known.values() for alias in spec.aliases]
    assert aliases and len(set(aliases)) == len(aliases) and not set(aliases) & set(known)


def test_resume_takes_more_epochs_as_python_does(tmp_path):
    given = {"freeze_until": "head", "progress": False}
    for name, epochs in (("shell", 1), ("once", 3)):
        zoo.finetune("lenet5", "digits#test", epochs=epochs, out=tmp_path / name, **given)
    done = run("finetune", "--resume", tmp_path / "shell", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    losses = [[row["loss"] for row in read_history(tmp_path / n)] for n in ("shell", "once")]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    fewer = run("finetune", "--resume", tmp_path / "shell", "--epochs", "2")
    assert fewer.returncode == 1 and "Only more epochs can be added" in fewer.stderr
    other = run("finetune", "--resume", tmp_path / "shell", "--lr", "1")
    assert other.returncode == 2 and "--resume RUN with --epochs only" in other.stderr


def test_resume_refuses_epochs_where_they_are_said_otherwise(tmp_path):
    given = {"out": tmp_path / "run", "progress": False}
    zoo.finetune("lenet5", "digits#test", schedule=[("head", 1)], **given)
    with pytest.raises(zoo.RecipeError, match="by a schedule"):
        replay(tmp_path / "run", resume=True, epochs=5)
