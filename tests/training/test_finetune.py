"""finetune(), evaluate(), predict() and runs, on real digits."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
import torch
from PIL import Image
from support.pictures import colours
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.runs.recipe import read_recipe
from zoo_core.training.preparing import split
from zoo_core.training.replay import replay

QUIET = {"out": False, "progress": False}
FILES = [
    "best.safetensors", "last", "metrics.jsonl", "recipe.toml", "report.html", "trained_on.npz"
]  # fmt: skip


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_a_run_of_a_run_says_what_it_started_from_and_keeps_near_it(tmp_path):
    digits = open_data("digits").subset(range(0, 1797, 12))
    first = tmp_path / "first"
    zoo.finetune("lenet5", digits, epochs=1, out=first, progress=False)
    run = zoo.finetune(
        first, digits, epochs=1, regularizers="l2-sp", out=tmp_path / "second", progress=False
    )
    assert run.recipe["start"]["model"] == str(first)
    assert read_recipe(first)["start"]["weights"] == "mnist5k"
    assert len(read_recipe(first)["start"]["sha256"]) == 64


def test_what_fails_before_training_leaves_no_folder(tmp_path):
    with pytest.raises(zoo.UnknownName):
        zoo.finetune("lenet5", "digits", freeze_until="heed", out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_pretrained_head_learns_other_peoples_digits():
    run = zoo.finetune("lenet5", "digits", freeze_until="head", epochs=5, **QUIET)
    base = zoo.create("lenet5", pretrained=True).state_dict()
    assert run.accuracy > 0.95 and len(run.history) == 5
    tuned = run.model.state_dict()
    changed = {name for name, tensor in tuned.items() if not torch.equal(tensor, base[name])}
    assert changed == {"head.weight", "head.bias"}


def test_one_seed_one_result_and_the_outer_random_numbers_stay():
    torch.manual_seed(5)
    expected = torch.rand(1)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(5)
        model = zoo.create("lenet5", pretrained=True)
        torch.manual_seed(5)
        runs.append(zoo.finetune(model, "digits#test", epochs=1, seed=seed, **QUIET))
        assert torch.equal(torch.rand(1), expected)
    assert same(runs[0].model, runs[1].model) and not same(runs[0].model, runs[2].model)


def test_the_run_folder_holds_what_rebuilds_the_model(tmp_path):
    folder = tmp_path / "run"
    given = {"epochs": 2, "out": folder, "progress": False}
    run = zoo.finetune("lenet5", "digits", freeze_until="fc2", **given)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows == run.history and rows[0]["epoch"] == 1
    recipe = read_recipe(folder)
    assert recipe["train"]["freeze_until"] == "fc2" and recipe["data"]["spec"] == "digits"
    assert recipe["model"]["sha256"] == zoo.info("lenet5").default_weights.sha256
    again = zoo.create(folder)
    assert same(again, run.model) and again.labels == run.model.labels
    assert (folder / "best.safetensors").stat().st_size < 50_000  # fc2 and head: 44 kB of 247


def test_a_run_from_scratch_holds_everything(tmp_path):
    model = zoo.create("lenet5", in_chans=3, num_classes=10)
    run = zoo.finetune(model, "digits#test", epochs=1, out=tmp_path / "run", progress=False)
    assert same(zoo.create(str(tmp_path / "run")), run.model)


def test_a_run_with_batch_norm_brings_its_statistics(tmp_path):
    folder = colours(tmp_path / "data", {"red": (200, 0, 0), "blue": (0, 0, 200)}, 8)
    model = zoo.create("resnet18", num_classes=2)
    model.freeze_until("layer4")
    run = zoo.finetune(model, f"folder:{folder}", epochs=1, out=tmp_path / "run", progress=False)
    assert same(zoo.create(tmp_path / "run"), run.model)


def test_the_best_epoch_is_restored_and_early_stopping_stops():
    model = zoo.create("lenet5", pretrained=True)
    given = {"epochs": 30, "lr": 0.05, "regularizers": ["early-stopping=2"]}
    run = zoo.finetune(model, "digits#test", **given, **QUIET)
    losses = [row["val_loss"] for row in run.history]
    assert len(run.history) < 30 and run.best["val_loss"] == min(losses)
    _, val = split(open_data("digits#test"), None, 0)
    assert zoo.evaluate(run, val, progress=False)["loss"] == pytest.approx(min(losses), rel=1e-4)


def test_a_loss_that_is_no_number_stops_with_the_last_good_weights(tmp_path):
    model = zoo.create("lenet5", pretrained=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = {"epochs": 2, "lr": 1e30, "optimizer": "sgd", "out": tmp_path / "r", "progress": False}
    message = r"The loss is no number in epoch 1.*smaller lr than 1e\+30"
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.finetune(model, "digits#test", **given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_frozen_weights_stay_bit_equal_and_sgd_learns():
    model = zoo.create("lenet5", pretrained=True)
    model.freeze_until("fc1")
    state = model.state_dict()
    before = {name: state[name].clone() for name in state if name.startswith("conv")}
    given = {"optimizer": "sgd", "epochs": 2, "regularizers": "l2=1e-3"}
    run = zoo.finetune(model, "digits#test", **given, **QUIET)
    assert run.accuracy > 0.9
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_folders_of_pictures_from_end_to_end(tmp_path):
    classes = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
    folder = colours(tmp_path / "data", classes, 10)
    torch.manual_seed(0)
    model = zoo.create("lenet5", in_chans=3, num_classes=3)
    given = {"epochs": 15, "lr": 3e-3, "out": tmp_path / "run", "progress": False}
    run = zoo.finetune(model, f"folder:{folder}", **given)
    assert run.model.labels == ("blue", "green", "red")  # classes in natural order
    pictures = [folder / "red" / "0.png", folder / "blue" / "3.png"]
    found = zoo.predict(tmp_path / "run", pictures, top=2)
    assert [one["label"] for one in found] == ["red", "blue"]
    assert found[0]["picture"].endswith("red/0.png") and len(found[0]["top"]) == 2
    assert zoo.evaluate(run, f"folder:{folder}", progress=False)["per_class"]["green"] == 1.0


def test_classes_are_matched_by_name_and_strangers_are_refused(tmp_path):
    greys = {"a": (0, 0, 0), "b": (120, 120, 120), "c": (250, 250, 250)}
    train = colours(tmp_path / "train", greys, 6)
    torch.manual_seed(1)
    model = zoo.create("lenet5", num_classes=3)
    run = zoo.finetune(model, f"folder:{train}", epochs=40, lr=3e-3, **QUIET)
    some = colours(tmp_path / "some", {"c": (250, 250, 250), "b": (120, 120, 120)})
    assert zoo.evaluate(run, f"folder:{some}", progress=False)["per_class"] == {"b": 1.0, "c": 1.0}
    strange = colours(tmp_path / "strange", {"a": (0, 0, 0), "z": (9, 9, 9)})
    with pytest.raises(zoo.DataError, match='has a class "z" that the model does not know'):
        zoo.evaluate(run, f"folder:{strange}", progress=False)
    with pytest.raises(zoo.DataError, match='"z"'):
        zoo.finetune(run.model, f"folder:{train}", val=f"folder:{strange}", **QUIET)


def test_tensors_count_as_preprocessed():
    torch.manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.randn(60, 1, 32, 32) * 0.1 + y.view(-1, 1, 1, 1)
    run = zoo.finetune(zoo.create("lenet5", num_classes=2), TensorDataset(x, y), epochs=5, **QUIET)
    assert run.accuracy == 1.0
    with pytest.raises(zoo.RecipeError, match="cannot be augmented"):
        zoo.finetune(run.model, TensorDataset(x, y), augment=True, **QUIET)


def test_augmentation_is_off_when_only_the_head_trains():
    model = zoo.create("lenet5", pretrained=True).freeze_until("head")
    assert zoo.finetune(model, "digits#test", epochs=1, **QUIET).recipe["train"]["augment"] is False
    model.unfreeze()
    assert zoo.finetune(model, "digits#test", epochs=1, **QUIET).recipe["train"]["augment"] is True


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"epochs": 0}, zoo.RecipeError, "epochs must be a whole number, 1 or more: 0"),
        ({"batch_size": 2.5}, zoo.RecipeError, "batch_size must be a whole number"),
        ({"lr": -1}, zoo.RecipeError, "lr must be a number above 0"),
        ({"lr": float("nan")}, zoo.RecipeError, "lr must be a number above 0"),
        ({"optimizer": "adamv"}, zoo.UnknownName, 'Closest: "adamw"'),
        ({"regularizers": ["early-stoping"]}, zoo.UnknownName, 'Closest: "early-stopping"'),
        ({"freeze_until": "heed"}, zoo.UnknownName, 'Closest: "head"'),
        ({"val": False, "regularizers": ["early-stopping"]}, zoo.RecipeError, "needs validation"),
        ({"precision": "fp8"}, zoo.UnknownName, "precision"),
        ({"augment": "maybe"}, zoo.RecipeError, "augment"),
        ({"epochs": 0, "head": "random"}, zoo.RecipeError, "1 or more: 0"),
        ({"schedule": [("head", 0)]}, zoo.RecipeError, "1 or more: 0"),
        ({"schedule": "head"}, zoo.RecipeError, "list of (what trains, epochs)"),
        ({"schedule": [("heed", 1)]}, zoo.UnknownName, 'Closest: "head"'),
        ({"train": "conv2:conv1"}, zoo.RecipeError, "holds no stage"),
        ({"train": "conv2"}, zoo.RecipeError, 'Write "conv2:"'),
        ({"train": "norm"}, zoo.RecipeError, "has no normalisation"),
        ({"train": "bias", "freeze_until": "head"}, zoo.RecipeError, "give one"),
        ({"head": "rigde"}, zoo.UnknownName, 'Closest: "ridge"'),
        ({"lr_schedule": "cosin"}, zoo.UnknownName, 'Closest: "cosine"'),
        ({"balance": "weight"}, zoo.UnknownName, 'Closest: "weights"'),
        ({"layer_decay": 2}, zoo.RecipeError, "layer_decay must be 1 or less"),
        ({"warmup": -1}, zoo.RecipeError, "warmup must be a number 0 or more"),
        ({"accumulate": 100}, zoo.RecipeError, "without a picture"),
        ({"cache": "yes"}, zoo.RecipeError, "cache is"),
        ({"cache": True}, zoo.RecipeError, "nothing before conv1 is frozen"),
        ({"augment": True, "cache": True, "freeze_until": "head"}, zoo.RecipeError, "augment=8"),
        ({"resume": True}, zoo.RecipeError, "needs the folder"),
        ({"tracker": "tensorbord"}, zoo.UnknownName, 'Closest: "tensorboard"'),
        ({"tracker": "wandb"}, zoo.RecipeError, "pip install wandb"),
        ({"unreadable": "skp"}, zoo.DataError, 'Closest: "skip"'),
    ],
)
def test_bad_arguments_end_before_training(given, error, message):
    with pytest.raises(error) as caught:
        zoo.finetune(zoo.create("lenet5"), "digits#test", **{**QUIET, **given})
    assert message in str(caught.value)


def test_a_full_folder_or_one_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(zoo.RecipeError, match="is not empty"):
        zoo.finetune("lenet5", "digits", out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    with pytest.raises(zoo.RecipeError, match="cannot be written"):
        zoo.finetune("lenet5", "digits", out=tmp_path / "note.txt" / "run", progress=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_for_the_run_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(zoo.RecipeError, match="cannot be written: Permission denied"):
        zoo.finetune("lenet5", "digits", out=tmp_path / "run", progress=False)


def test_damaged_runs_say_what_is_wrong(tmp_path):
    given = {"epochs": 1, "out": tmp_path / "r", "progress": False}
    zoo.finetune("lenet5", "digits#test", freeze_until="head", **given)
    recipe, best = tmp_path / "r" / "recipe.toml", tmp_path / "r" / "best.safetensors"
    whole, weights = recipe.read_text(), best.read_bytes()
    told = tomllib.loads(whole)["model"]["sha256"]
    recipe.write_text(whole.replace(told, told[::-1]))
    with pytest.raises(zoo.WeightsError, match=f"stands on weights with sha256 {told[::-1]}"):
        zoo.create(tmp_path / "r")
    recipe.write_text("schema = [")
    with pytest.raises(zoo.RecipeError, match="not valid TOML"):
        zoo.create(tmp_path / "r")
    recipe.write_text(whole)
    best.write_bytes(weights[:-10])
    with pytest.raises(zoo.WeightsError, match="not a whole safetensors file"):
        zoo.create(tmp_path / "r")
    best.unlink()
    with pytest.raises(zoo.WeightsError, match="stopped before its first epoch ended"):
        zoo.create(tmp_path / "r")
    with pytest.raises(zoo.UnknownName, match="Nothing is at"):
        zoo.create(tmp_path / "nowhere")


def test_a_run_whose_plugin_is_gone_says_which_one(tmp_path):
    zoo.finetune("lenet5", "digits#test", epochs=1, out=tmp_path / "run", progress=False)
    recipe = tmp_path / "run" / "recipe.toml"
    told = tomllib.loads(recipe.read_text())
    assert "plugin" not in told["model"]  # it comes with zoo
    told["model"] |= {"reference": "acmenet", "plugin": "zoo-acme 1.2"}
    told["start"]["model"] = "acmenet"
    recipe.write_text(tomli_w.dumps(told))
    message = r'is a run of "acmenet" of zoo-acme 1\.2, which is not installed here'
    for use in (zoo.create, lambda path: replay(path, out=tmp_path / "again")):
        with pytest.raises(zoo.PluginError, match=message) as caught:
            use(tmp_path / "run")
        assert caught.value.hint.endswith("pip install zoo-acme")


def test_a_stopped_run_leaves_its_best_weights(tmp_path):
    """Ctrl-C in a real process: no traceback, no half file, and the folder loads."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "zoo_core", "finetune", "lenet5"]
    command += ["--data", "digits", "--epochs", "10000", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = [process.stderr.readline() for _ in range(2)]
    process.send_signal(2)
    _, rest = process.communicate(timeout=60)
    assert lines[0].startswith("epoch") and process.returncode == 130, (lines, rest)
    assert "Traceback" not in rest and f"The best weights so far are in {out}." in rest
    assert sorted(path.name for path in out.iterdir()) == [f for f in FILES if f != "report.html"]
    assert f"Go on with: zoo finetune --resume {out}" in rest
    assert zoo.evaluate(Path(out), "digits#test", progress=False)["accuracy"] > 0.9


def test_evaluate_agrees_with_a_plain_loop():
    model = zoo.create("lenet5", pretrained=True)
    digits = open_data("mnist5k#test")
    found = zoo.evaluate(model, digits, progress=False)
    transform = model.transform()
    x = torch.stack([transform(digits.read(i)) for i in range(len(digits))])
    with torch.no_grad():
        scores = model.eval()(x)
    targets = torch.tensor(digits.targets)
    assert found["accuracy"] == (scores.argmax(1) == targets).double().mean().item() >= 0.98
    loss = torch.nn.functional.cross_entropy(scores, targets).item()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)


def test_evaluation_leaves_the_modes_alone():
    model = zoo.create("lenet5", pretrained=True).freeze_until("head")
    model.train()
    modes = [module.training for module in model.modules()]
    zoo.evaluate(model, "digits#test", progress=False)
    zoo.predict(model, Image.new("L", (28, 28)))
    assert [module.training for module in model.modules()] == modes


def test_predict_takes_pictures_paths_and_tensors(tmp_path):
    digit, target = open_data("mnist5k#test")[0]
    path = tmp_path / "digit.png"
    digit.save(path)
    model = zoo.create("lenet5", pretrained=True)
    for given in (digit, path, str(path), model.transform()(digit), [digit]):
        [one] = zoo.predict(model, given)
        assert one["label"] == str(target) and len(one["top"]) == 5
    [all_ten] = zoo.predict(model, digit, top=10)
    assert sum(p for _, p in all_ten["top"]) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(zoo.DataError, match=r"No picture at .*none\.png"):
        zoo.predict(model, tmp_path / "none.png")


def test_a_head_that_does_not_fit_is_an_error_for_a_model_and_new_for_a_name(tmp_path):
    folder = colours(tmp_path / "data", {str(i): (20 * i,) * 3 for i in range(12)}, 3)
    with pytest.raises(zoo.RecipeError, match=r"10 classes, the data 12.*reset_head\(12\)"):
        zoo.finetune(zoo.create("lenet5", pretrained=True), f"folder:{folder}", **QUIET)
    assert zoo.finetune("lenet5", f"folder:{folder}", epochs=1, **QUIET).model.num_outputs == 12
