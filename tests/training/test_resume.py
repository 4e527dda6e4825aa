"""A run that was stopped, by whatever, goes on to the same end, bit for bit."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.in_process import run
from support.pictures import colours

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.runs.recipe import read_history, read_recipe
from zoo_core.training.replay import replay
from zoo_core.training.resume import load_state

DIGITS = open_data("digits").subset(range(0, 1797, 9))  # 200
TIMED = ("seconds", "pictures_per_second", "waiting", "memory")
MEMBERS = ["dropout", "ema=0.9", "l2-sp=0.01"]


class Stops(zoo.Regularizer):
    """Sends this process a signal after some steps."""

    def __init__(self, after: int | None, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.after, self.number, self.done = after, number, 0

    def weights(self) -> None:
        self.done += 1
        if self.done == self.after:
            os.kill(os.getpid(), self.number)

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.done = state["done"]


def plain(rows):
    return [{k: v for k, v in row.items() if k not in TIMED} for row in rows]


def equal(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def same_files(first: Path, second: Path) -> bool:
    ours, theirs = (load_file(folder / "best.safetensors") for folder in (first, second))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def whole(folder: Path, members, **given):
    model = zoo.create("lenet5", pretrained=True)
    chosen = [*members, Stops(None)]
    return zoo.finetune(model, DIGITS, regularizers=chosen, out=folder, progress=False, **given)


def stopped_and_resumed(folder: Path, members, stops, number=signal.SIGINT, **given):
    """Stopped after each of some numbers of steps, and gone on with each time."""
    ends = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    for after in stops:
        model = zoo.create("lenet5", pretrained=True)
        chosen = [*members, Stops(after, number)]
        how = {"regularizers": chosen, "out": folder, "progress": False, "resume": True, **given}
        with pytest.raises(ends):
            zoo.finetune(model, DIGITS, **how)
    model = zoo.create("lenet5", pretrained=True)
    how = {"regularizers": [*members, Stops(None)], "resume": True, "progress": False, **given}
    return zoo.finetune(model, DIGITS, out=folder, **how)


CASES = {
    "mid-epoch": (MEMBERS, [3], {"epochs": 2}),
    "at the end of an epoch": (MEMBERS, [5], {"epochs": 2}),
    "twice": (["sam", "label-smoothing"], [2, 7], {"epochs": 2}),
    "cosine and sgd": (
        ["swa:start=2,every=1", "mixup"],
        [4],
        {"epochs": 2, "optimizer": "sgd", "lr_schedule": "cosine", "warmup": 0.5},
    ),
    "cached": (
        ["manifold-mixup", "early-stopping=1"],
        [4],
        {"epochs": 3, "freeze_until": "fc2", "augment": 2, "cache": True},
    ),
    "in the second step of a schedule": (
        MEMBERS,
        [7],
        {"schedule": [("head", 1), ("fc2", 1), ("conv2", 1)], "head": "ridge"},
    ),
    "across a step of a schedule": (
        ["ema=0.9", "feature-delta", "dropout"],
        [5, 11],
        {"schedule": [("fc1", 1), ("conv2", 1), ("fc2", 1)]},
    ),
    "fresh augmentation, accumulated, balanced": (
        ["gradient-noise", "gradient-clip=1"],
        [3],
        {"epochs": 2, "augment": True, "accumulate": 3, "balance": "sampler"},
    ),
    "half precision": (["ema"], [3], {"epochs": 2, "precision": "fp16"}),
    "no validation": (["swa:start=1,every=2"], [3], {"epochs": 2, "val": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_run_ends_as_one_that_was_not(case, tmp_path):
    members, stops, given = CASES[case]
    given = {"batch_size": 32, "seed": 3, **given}
    once = whole(tmp_path / "once", members, **given)
    again = stopped_and_resumed(tmp_path / "again", members, stops, **given)
    assert plain(again.history) == plain(once.history) and again.best["epoch"] == once.best["epoch"]
    assert equal(again.model, once.model)
    assert same_files(tmp_path / "once", tmp_path / "again")
    rows = (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row) for row in rows] == again.history
    assert equal(zoo.create(tmp_path / "again"), once.model)


def test_sigterm_leaves_a_resumable_run(tmp_path):
    once = whole(tmp_path / "once", MEMBERS, batch_size=32, epochs=2)
    given = {"number": signal.SIGTERM, "batch_size": 32, "epochs": 2}
    again = stopped_and_resumed(tmp_path / "again", MEMBERS, [2], **given)
    assert plain(again.history) == plain(once.history) and equal(again.model, once.model)


def test_handlers_and_random_numbers_are_those_of_before(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopped_and_resumed(tmp_path / "run", [], [2], batch_size=32, epochs=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "zoo_core", "finetune", *map(str, words)]


def started(*words: object) -> subprocess.Popen:
    return subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_all_processes_are_as_good(number, tmp_path):
    """As a terminal sends Ctrl-C, and a scheduler SIGTERM: to those that read pictures, too."""
    out = tmp_path / "run"
    words = command("lenet5", "--data", "digits", "--epochs", 99, "--workers", 2, "--out", out)
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr.readline().startswith("epoch")
    os.killpg(process.pid, number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143), rest
    assert "Go on with: zoo finetune --resume" in rest
    assert load_state(out)["place"]["epoch"] >= 2


WORDS = ("lenet5", "--data", "digits", "--schedule", "fc2=2,conv2=2", "-r", "dropout", "--seed", 5)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "once"
    subprocess.run(command(*WORDS, "--out", folder), check=True, capture_output=True)
    return folder


def test_a_killed_process_goes_on_from_the_command_line(uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = started(*WORDS, "--out", out)
    lines = []
    while not any(line.startswith("epoch 2") for line in lines):
        lines.append(process.stderr.readline())
        assert process.poll() is None, lines
    while not (out / "last" / "state.pt").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    done = subprocess.run(command("--resume", out), capture_output=True, text=True)
    assert done.returncode == 0 and "Going on after epoch" in done.stderr, done.stderr
    rows = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (out, uninterrupted)
    ]
    assert plain(rows[0]) == plain(rows[1])
    assert same_files(out, uninterrupted)


def test_a_recipe_replays_a_run_exactly(uninterrupted, tmp_path):
    again = replay(uninterrupted / "recipe.toml", out=tmp_path / "again", progress=False)
    assert equal(again.model, zoo.create(uninterrupted))
    recipes = [read_recipe(folder) for folder in (uninterrupted, tmp_path / "again")]
    for recipe in recipes:
        recipe.pop("cost")
        recipe["result"] = plain([recipe["result"]])
    assert recipes[0] == recipes[1]


def test_a_recipe_of_other_data_or_of_objects_is_refused(tmp_path):
    given = {"epochs": 1, "progress": False}
    zoo.finetune("lenet5", "digits#test", out=tmp_path / "named", **given)
    recipe = tmp_path / "named" / "recipe.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace("digits#test", "digits#train"))
    with pytest.raises(zoo.RecipeError, match=r"has count = 638 in \[data\], and this is 800"):
        replay(recipe, out=tmp_path / "other", progress=False)
    assert not (tmp_path / "other").exists()
    recipe.write_text(text.replace("batch_size = 64", "batch_sise = 64"))
    with pytest.raises(zoo.RecipeError, match=r"does not know.*batch_sise"):
        replay(recipe, out=tmp_path / "other", progress=False)
    zoo.finetune(zoo.create("lenet5"), "digits#test", out=tmp_path / "object", **given)
    with pytest.raises(zoo.RecipeError, match="the model was an object in Python"):
        replay(tmp_path / "object", progress=False)


def test_another_training_does_not_go_on_in_a_run(tmp_path):
    given = {"out": tmp_path / "run", "progress": False}
    zoo.finetune("lenet5", "digits#test", epochs=1, **given)
    with pytest.raises(zoo.RecipeError, match=r"is not empty") as caught:
        zoo.finetune("lenet5", "digits#test", epochs=1, **given)
    assert "resume=True" in caught.value.hint
    for changed in (
        {"batch_size": 16},
        {"seed": 1},
        {"freeze_until": "head"},
        {"regularizers": "l2"},
    ):
        with pytest.raises(zoo.RecipeError, match=rf"has {next(iter(changed))} = "):
            zoo.finetune("lenet5", "digits#test", epochs=1, resume=True, **changed, **given)
    with pytest.raises(zoo.RecipeError, match="has spec"):
        zoo.finetune("lenet5", "digits", epochs=1, resume=True, **given)


def test_a_run_does_not_go_on_with_other_pictures_or_classes(tmp_path):
    def data(names, shade):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        return (
            f"folder:{colours(tmp_path / 'data', {n: (shade, i, 0) for i, n in enumerate(names)})}"
        )

    given = {"out": tmp_path / "run", "progress": False}
    zoo.finetune("lenet5", data("ab", 90), epochs=1, **given)
    assert len(zoo.finetune("lenet5", data("ab", 90), epochs=2, resume=True, **given).history) == 2
    for names, shade in (("ab", 30), ("xy", 90)):
        with pytest.raises(zoo.RecipeError, match=r"began with other pictures"):
            zoo.finetune("lenet5", data(names, shade), epochs=3, resume=True, **given)
    with pytest.raises(zoo.RecipeError, match=r"began with other pictures"):
        replay(tmp_path / "run", out=tmp_path / "again", progress=False)


def test_a_run_does_not_go_on_from_a_run_that_was_replaced(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"

    def base(seed):
        shutil.rmtree(first, ignore_errors=True)
        return zoo.finetune("lenet5", DIGITS, epochs=1, seed=seed, out=first, progress=False)

    given = {"freeze_until": "head", "out": second, "progress": False}
    base(0)
    zoo.finetune(first, DIGITS, epochs=1, **given)
    base(1)
    with pytest.raises(zoo.RecipeError, match=r"has sha256 = "):
        zoo.finetune(first, DIGITS, epochs=2, resume=True, **given)
    given["out"] = tmp_path / "third"
    zoo.finetune(base(0).model, DIGITS, epochs=1, **given)
    with pytest.raises(zoo.RecipeError, match=r"third stands on other weights than these"):
        zoo.finetune(base(1).model, DIGITS, epochs=2, resume=True, **given)


def test_without_a_save_a_run_begins_anew(tmp_path):
    given = {"out": tmp_path / "run", "progress": False}
    zoo.finetune("lenet5", DIGITS, epochs=2, **given)
    shutil.rmtree(tmp_path / "run" / "last")
    run = zoo.finetune("lenet5", DIGITS, epochs=2, resume=True, **given)
    assert read_history(tmp_path / "run") == run.history and len(run.history) == 2


def test_a_head_that_was_solved_and_not_trained_can_be_trained_on(tmp_path, capsys):
    given = {"freeze_until": "head", "head": "ridge"}
    zoo.finetune("lenet5", DIGITS, epochs=0, out=tmp_path / "run", progress=False, **given)
    again = zoo.finetune("lenet5", DIGITS, epochs=0, out=tmp_path / "run", resume=True, **given)
    assert "The run has ended already." in capsys.readouterr().err
    assert [row["epoch"] for row in again.history] == [0]
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [0]
    assert run("runs", tmp_path / "run", "--json").stdout.count('"epochs": 0') == 1
    given |= {"epochs": 2, "progress": False}
    longer = zoo.finetune("lenet5", DIGITS, out=tmp_path / "run", resume=True, **given)
    once = zoo.finetune("lenet5", DIGITS, out=tmp_path / "once", **given)
    assert plain(longer.history) == plain(once.history) and equal(longer.model, once.model)


def test_a_run_that_has_ended_can_be_trained_longer(tmp_path):
    given = {"progress": False, "regularizers": ["dropout", "ema"]}
    zoo.finetune("lenet5", "digits#test", epochs=1, out=tmp_path / "run", **given)
    ended = zoo.finetune(
        "lenet5", "digits#test", epochs=1, out=tmp_path / "run", resume=True, **given
    )
    assert len(ended.history) == 1 and equal(ended.model, zoo.create(tmp_path / "run"))
    longer = zoo.finetune(
        "lenet5", "digits#test", epochs=2, out=tmp_path / "run", resume=True, **given
    )
    once = zoo.finetune("lenet5", "digits#test", epochs=2, out=tmp_path / "once", **given)
    assert plain(longer.history) == plain(once.history) and equal(longer.model, once.model)


def test_more_epochs_are_another_training_where_the_rate_depends_on_how_many(tmp_path):
    given = {"progress": False, "lr_schedule": "cosine", "out": tmp_path / "run"}
    zoo.finetune("lenet5", "digits#test", epochs=1, **given)
    with pytest.raises(zoo.RecipeError, match=r"has epochs = 1 in \[train\], and this is 2"):
        zoo.finetune("lenet5", "digits#test", epochs=2, resume=True, **given)


def test_a_damaged_save_says_so_and_the_best_weights_stay(tmp_path):
    zoo.finetune("lenet5", "digits#test", epochs=1, out=tmp_path / "run", progress=False)
    state = tmp_path / "run" / "last" / "state.pt"
    assert load_state(tmp_path / "run")["place"]["epoch"] == 2
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(zoo.RecipeError, match=r"state\.pt cannot be read") as caught:
        replay(tmp_path / "run", resume=True, progress=False)
    assert "remove last/" in caught.value.hint
    zoo.create(tmp_path / "run")


FULL = """
import resource, sys
import zoo_core as zoo
from zoo_core.training import resume
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resume.AFTER_EPOCH = 0.0
try:
    zoo.finetune("lenet5", "digits#test", epochs=3, out=sys.argv[1], cache=False, progress=False)
except zoo.RecipeError as error:
    print(error.message)
"""


@pytest.mark.parametrize(("limit", "file"), [(300_000, "state.pt"), (100_000, "best.safetensors")])
def test_a_full_disk_ends_with_an_error_and_whole_files(limit, file, tmp_path):
    out = tmp_path / "run"
    words = [sys.executable, "-c", FULL, str(out), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert re.search(rf"{file} cannot be written: .*File too large", done.stdout), done
    assert not [path for path in out.rglob(".*")]
    if file == "state.pt":  # the best weights of the epoch are there
        assert zoo.evaluate(out, "digits#test", progress=False)["accuracy"] > 0.8


class Breaks(zoo.Regularizer):
    """Makes a step go wrong, after its loss was computed."""

    def weights(self) -> None:
        with torch.no_grad():
            self.model.fc1.weight.fill_(math.nan)


@pytest.mark.parametrize("val", [None, False])
def test_a_last_step_that_breaks_the_model_is_no_success(val, tmp_path):
    given = {"epochs": 1, "batch_size": 200, "val": val, "regularizers": Breaks()}
    before = zoo.create("lenet5", pretrained=True)
    model = zoo.create("lenet5", pretrained=True)
    what = "The loss" if val is False else "The validation loss"
    with pytest.raises(zoo.RecipeError, match=rf"{what} is no number in epoch 1"):
        zoo.finetune(model, DIGITS, out=tmp_path / "r", progress=False, **given)
    assert equal(model, before)


def test_a_loss_that_is_no_number_leaves_a_run_to_look_at(tmp_path):
    given = {"epochs": 3, "lr": 1e30, "optimizer": "sgd", "out": tmp_path / "r", "progress": False}
    with pytest.raises(zoo.RecipeError, match="no number in epoch"):
        zoo.finetune("lenet5", "digits#test", **given)
    assert (tmp_path / "r" / "recipe.toml").exists()
