"""`--weights` and `--labels`: somebody's checkpoint used from the shell, and what does not fit."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.in_process import run

import zoo_core as zoo
from zoo_core.data import open_data
from zoo_core.runs.recipe import read_recipe
from zoo_core.training.replay import replay

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint of LeNet-5 under foreign names, class names and a picture."""
    folder = tmp_path / "my work"
    folder.mkdir()
    state = zoo.create("lenet5", pretrained=True).state_dict()
    torch.save(
        {f"layer_{n}.{k[-6:]}": v for n, (k, v) in enumerate(state.items())}, folder / "x.pth"
    )
    save_file(state, folder / "digits.safetensors")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n\n")
    open_data("digits#test")[0][0].save(folder / "digit.png")
    monkeypatch.chdir(folder)
    return folder


WEIGHTS = ("--weights", "digits.safetensors")


def test_predict_with_weights_and_names(here: Path) -> None:
    done = run("predict", "lenet5", "digit.png", *WEIGHTS, "--labels", "names.txt", "--json")
    [one] = json.loads(done.stdout)
    model = zoo.create("lenet5", pretrained="digits.safetensors", labels="names.txt")
    assert model.labels == tuple(NAMES)
    [twin] = zoo.predict(model, "digit.png", top=3, progress=False)
    assert one["label"] == twin["label"] in NAMES and one["probability"] == twin["probability"]


def test_without_names_classes_are_numbers(here: Path) -> None:
    [one] = json.loads(run("predict", "lenet5", "digit.png", *WEIGHTS, "--json").stdout)
    [own] = json.loads(run("predict", "lenet5", "digit.png", "--json").stdout)
    assert one["label"] == own["label"] and one["label"].isdigit()


def test_evaluate_stages_and_export(here: Path) -> None:
    data = ("--data", "digits#test")
    ours, theirs = (json.loads(run("evaluate", "lenet5", *data, "--json", *more).stdout)
                    for more in ((), WEIGHTS))  # fmt: skip
    assert ours["accuracy"] == theirs["accuracy"] > 0.5
    assert run("stages", "lenet5", *WEIGHTS).stdout == run("stages", "lenet5").stdout
    done = run("export", "lenet5", "a.pt2", *WEIGHTS, "--labels", "names.txt")
    assert done.returncode == 0 and (here / "a.pt2").exists(), done.stderr


def test_arguments_of_the_architecture(here: Path) -> None:
    """--config goes wherever --weights goes, and says what is none of these arguments."""
    stages = run("stages", "resnet18", "--config", "img_size=[64,96]", "--config", "in_chans=1")
    assert "64x16x24" in stages.stdout and "3,264" in stages.stdout
    kept = run("stages", "resnet18", "--config", "keep_until=layer3").stdout
    assert kept == run("stages", "resnet18", "--keep-until", "layer3").stdout != stages.stdout
    network = zoo.create("lenet5", keep_until="conv2", num_classes=10)
    save_file(network.state_dict(), here / "kept.safetensors")
    own = ("--config", "keep_until=conv2", "--weights", "kept.safetensors")
    [one] = json.loads(run("predict", "lenet5", "digit.png", *own, "--json").stdout)
    [twin] = zoo.predict(network, "digit.png", progress=False)
    assert one["label"] == twin["label"] and one["probability"] == twin["probability"]
    for command in (("predict", "lenet5", "digit.png"), ("export", "lenet5", "a.pt2")):
        done = run(*command, "--config", "keep_until=conv2")
        assert done.returncode == 2 and "new head, which knows nothing yet" in done.stderr
        done = run(*command, "--config", "pretrained=false")
        assert done.returncode == 2 and "pretrained is no argument" in done.stderr
    assert not (here / "a.pt2").exists()
    done = run("evaluate", "lenet5", "--config", "in_chans=1")
    assert done.returncode == 2 and "--config go with --data" in done.stderr


def test_convert_leads_on(here: Path) -> None:
    """From a foreign checkpoint to a prediction, by what each command says."""
    done = run("predict", "lenet5", "digit.png", "--weights", "x.pth")
    assert (
        done.returncode == 1 and "x.pth is not of this model: it lacks conv1.weight" in done.stderr
    )
    command = done.stderr.partition("They fit in order and shape: zoo ")[2].strip()
    assert command.endswith("--by-order")
    done = run(*shlex.split(command.removesuffix(" --by-order")))
    assert done.returncode == 1 and "Add --by-order: all 10 unknown names" in done.stderr
    done = run(*shlex.split(command))
    assert done.returncode == 0
    told = done.stderr.partition("Next: zoo ")[2].partition("\n")[0]
    assert "--weights x.safetensors" in told
    done = run(*shlex.split(told.replace("PICTURE...", "digit.png")))
    assert done.returncode == 0 and "digit.png" in done.stdout


def test_the_next_command_is_quoted(here: Path) -> None:
    shutil.copy("digits.safetensors", "it's mine.safetensors")
    done = run(
        "convert", "it's mine.safetensors", "--model", "lenet5", "--out", "an out.safetensors"
    )
    told = done.stderr.partition("Next: zoo ")[2].partition("\n")[0]
    assert run(*shlex.split(told.replace("PICTURE...", "digit.png"))).returncode == 0


def test_by_order_is_not_offered_where_shapes_differ(here: Path) -> None:
    state = torch.load("x.pth")
    save_file({**state, "layer_0.weight": torch.zeros(7, 7)}, "y.safetensors")
    for words in (("convert", "y.safetensors", "--model", "lenet5"),
                  ("predict", "lenet5", "digit.png", "--weights", "y.safetensors")):  # fmt: skip
        done = run(*words)
        assert done.returncode == 1 and "Add --by-order" not in done.stderr
        assert "They fit" not in done.stderr


def test_a_run_remembers_weights_and_names(here: Path) -> None:
    data = ("--data", "digits#test", "--freeze-until", "head", "--epochs", "1", "--out", "run")
    done = run("finetune", "lenet5", *data, *WEIGHTS, "--labels", "names.txt")
    assert done.returncode == 0, done.stderr
    start = read_recipe(here / "run")["start"]
    assert start["pretrained"] == "./digits.safetensors" and start["labels"] == NAMES
    again = replay(here / "run", out=here / "again", progress=False)
    first, second = (load_file(here / name / "best.safetensors") for name in ("run", "again"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert read_recipe(again.path)["start"] == start
    more = run("finetune", "--resume", "run", "--epochs", "2")
    assert more.returncode == 0, more.stderr


def test_it_loads_and_trains_again_elsewhere(here: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    data = ("--data", "digits#test", "--freeze-until", "head", "--epochs", "1", "--out", "run")
    assert run("finetune", "lenet5", *data, *WEIGHTS).returncode == 0
    before = run("predict", "run", "digit.png").stdout
    moved = tmp_path / "elsewhere"
    here.rename(moved)
    monkeypatch.chdir(tmp_path)
    done = run("predict", "elsewhere/run", "elsewhere/digit.png")
    assert done.returncode == 0 and done.stdout.split()[-2:] == before.split()[-2:], done.stderr
    done = run("finetune", "--recipe", "elsewhere/run/recipe.toml", "--out", "new")
    assert done.returncode == 0, done.stderr
    other = load_file(moved / "digits.safetensors")
    save_file({k: v + 1 for k, v in other.items()}, moved / "digits.safetensors")
    done = run("finetune", "--recipe", "elsewhere/run/recipe.toml", "--out", "newer")
    assert done.returncode == 1 and "has sha256" in done.stderr


def test_classes_that_the_weights_know_keep_theirs(here: Path) -> None:
    """The names of the digits are those of the data: nothing is new; else the head is."""
    quiet = {"freeze_until": "head", "epochs": 1, "out": False, "progress": False}
    numbers = [str(n) for n in range(10)]
    for names, new in ((numbers, False), (NAMES, True)):
        tuned = zoo.finetune(
            "lenet5", "digits#test", pretrained="digits.safetensors", labels=names, **quiet
        )
        assert tuned.model.origin.new_head is new or tuned.model.labels == tuple(numbers)
    scratch = zoo.finetune("lenet5", "digits#test", pretrained=False, **quiet)
    assert scratch.recipe["start"]["pretrained"] is False


def test_a_built_model_has_them_already(here: Path) -> None:
    model = zoo.create("lenet5")
    for given in ({"pretrained": True}, {"labels": NAMES}):
        with pytest.raises(zoo.RecipeError, match="this one is built already"):
            zoo.finetune(model, "digits#test", out=False, **given)


BAD = [
    (("--weights", "nothing.safetensors"), 1, "No file at"),
    (("--weights", "names.txt"), 1, 'For the file here: "./names.txt".'),
    (("--weights", "./names.txt"), 1, "names.txt"),
    ((*WEIGHTS, "--labels", "two.txt"), 1, "2 names of classes for the 10 outputs of lenet5"),
    ((*WEIGHTS, "--labels", "twice.txt"), 1, 'twice.txt, line 2: "a" is there twice'),
    ((*WEIGHTS, "--labels", "empty.txt"), 1, "empty.txt"),
    ((*WEIGHTS, "--labels", "gap.txt"), 1, "gap.txt, line 2: the name is empty"),
    ((*WEIGHTS, "--labels", "digit.png"), 1, "digit.png is no text"),
    ((*WEIGHTS, "--labels", "."), 1, "cannot be read: is a folder"),
    ((*WEIGHTS, "--labels", "imagnet-1k"), 1, 'Closest: "imagenet-1k"'),
    ((*WEIGHTS, "--labels", "imagenet-1k"), 1, "1,000 names of classes for the 10 outputs"),
]


@pytest.mark.parametrize(("typed", "code", "words"), BAD)
@pytest.mark.parametrize("command", ["predict", "evaluate", "stages", "export", "finetune"])
def test_what_does_not_fit_is_one_line(here: Path, command: str, typed, code, words) -> None:
    for name, text in (("two", "a\nb"), ("twice", "a\na"), ("empty", ""), ("gap", "a\n\nb")):
        Path(f"{name}.txt").write_text(text)
    rest = {"predict": ["digit.png"], "export": ["a.pt2"], "stages": [],
            "evaluate": ["--data", "digits#test"],
            "finetune": ["--data", "digits#test", "--out", "r"]}[command]  # fmt: skip
    done = run(command, "lenet5", *rest, *typed)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2 and not Path("r").exists()


@pytest.mark.parametrize("command", ["predict", "stages", "finetune"])
def test_what_has_its_own_weights(here: Path, command: str) -> None:
    rest = {"predict": ["digit.png"], "stages": [], "finetune": ["--data", "digits"]}[command]
    for model in ("hf://me/digits", "./run", "my-run"):
        Path("my-run").mkdir(exist_ok=True)
        done = run(command, model, *rest, *WEIGHTS)
        assert done.returncode == 2 and "has weights of its own" in done.stderr


def test_names_of_its_own_give_way_with_a_word(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = run("predict", "lenet5", "digit.png", "--labels", "names.txt", "--top", "1")
    assert any(name in done.stdout for name in NAMES)
    assert "had names of their own (0, 1, 2" in caplog.text


def test_a_runs_own_pictures_need_no_names(here: Path) -> None:
    done = run("evaluate", "lenet5", "--labels", "names.txt")
    assert done.returncode == 2 and "go with --data" in done.stderr


def test_the_input_is_that_of_the_tag_in_the_name(here: Path) -> None:
    tagged = zoo.create("lenet5.fashion_mnist", pretrained="./digits.safetensors")
    assert tagged.input == zoo.info("lenet5").weights["fashion_mnist"].input
