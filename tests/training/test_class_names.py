"""The names of a model meet those of data: matched, kept, made new and said, or refused."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from support.pictures import colours
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.pictures import Pictures
from zoo_core.runs.recipe import read_recipe
from zoo_core.training.replay import replay

QUIET = {"out": False, "progress": False, "val": False}
SHADES = {"axe": 10, "hammer": 70, "saw": 130, "drill": 190, "plane": 250}


def shades(names, each: int = 4) -> Pictures:
    """Pictures of one shade for each class, with or without the names."""
    from PIL import Image

    grey = [Image.new("L", (28, 28), SHADES[name] + i) for name in names for i in range(each)]
    return Pictures(
        "shades",
        grey.__getitem__,
        [i for i, _ in enumerate(names) for _ in range(each)],
        list(names),
    )


def numbered(count: int, each: int = 4) -> TensorDataset:
    """Tensors without names for their classes."""
    torch.manual_seed(0)
    y = torch.arange(count * each) % count
    return TensorDataset(torch.randn(len(y), 1, 32, 32) * 0.1 + y.view(-1, 1, 1, 1), y)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on axe, hammer and saw."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    return zoo.finetune(
        "lenet5", shades(["axe", "hammer", "saw"]), epochs=1, val=False, out=out, progress=False
    )


def again(run):
    """Its model, from disk."""
    return zoo.create(run.path)


def row(model, name: str) -> torch.Tensor:
    """Weights and bias of a class."""
    number = model.labels.index(name)
    return torch.cat([model.head.weight[number], model.head.bias[number : number + 1]]).detach()


# --- names on one side only ----------------------------------------------------------------------


def test_data_without_names_is_refused_by_a_trained_model_with_names(trained):
    for model in (again(trained), trained.path):
        with pytest.raises(
            zoo.RecipeError, match=r"has names for its classes \(axe, hammer, saw"
        ) as e:
            zoo.finetune(model, numbered(3), epochs=1, **QUIET)
        assert "dataset.classes = [...]" in e.value.hint and "model.labels = None" in e.value.hint
    model = again(trained)
    model.labels = None
    assert zoo.finetune(model, numbered(3), epochs=1, **QUIET).model.labels is None


def test_what_is_refused_leaves_the_names_of_the_model_alone(trained):
    model = again(trained)
    model.labels = None
    with pytest.raises(zoo.DataError):
        zoo.finetune(model, shades(["axe"]), epochs=1, **QUIET)
    with pytest.raises(zoo.UnknownName):
        zoo.finetune(
            model, shades(["axe", "hammer", "saw"]), freeze_until="heed", epochs=1, **QUIET
        )
    assert model.labels is None and not model.multilabel


def test_names_that_are_numbers_match_numbers(caplog):
    model = zoo.create("lenet5", pretrained=True)
    assert zoo.finetune(model, numbered(10), epochs=1, **QUIET).model.labels == tuple("0123456789")
    assert zoo.finetune(model, numbered(3), epochs=1, **QUIET).model.labels == tuple("0123456789")
    zoo.evaluate(model, numbered(3), progress=False)
    assert not caplog.records


def test_a_head_that_is_new_has_the_names_that_a_person_gave_it(caplog):
    model = zoo.create("lenet5", pretrained=True).reset_head(2, labels=["day", "night"])
    assert zoo.finetune(model, numbered(2), epochs=1, **QUIET).model.labels == ("day", "night")
    assert not caplog.records


def test_evaluate_says_that_it_goes_by_number(trained, caplog):
    zoo.evaluate(again(trained), numbered(3), progress=False)
    nameless = zoo.create("lenet5", num_classes=3)
    zoo.evaluate(nameless, shades(["axe", "saw"]), progress=False)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "TensorDataset has no names for its classes, and the model has (axe, hammer, saw): "
        "they match by number.",
        "The model has no names for its classes, and shades has (axe, saw): they match by number.",
    ]
    caplog.clear()
    zoo.evaluate(nameless, numbered(3), progress=False)
    zoo.evaluate(again(trained), shades(["saw", "axe"]), progress=False)
    assert not caplog.records


def test_validation_needs_names_where_training_has_them():
    named, nameless = shades(["axe", "saw"]), numbered(2)
    for data, val in ((named, nameless), (nameless, named)):
        with pytest.raises(
            zoo.DataError, match=r"shades has names for its classes .axe, saw.*TensorDataset"
        ):
            zoo.finetune("lenet5", data, val=val, epochs=1, out=False, progress=False)
    several = TensorDataset(torch.zeros(4, 1, 32, 32), torch.eye(2).repeat(2, 1))
    with pytest.raises(zoo.DataError, match="several classes for a picture"):
        zoo.finetune("lenet5", nameless, val=several, epochs=1, out=False, progress=False)


# --- a model without names -----------------------------------------------------------------------


def test_trained_outputs_without_names_that_are_not_the_classes_are_refused():
    model = zoo.create("lenet5", pretrained=True)
    model.labels = None
    for data in (shades(SHADES), numbered(5)):
        with pytest.raises(
            zoo.RecipeError, match=r"10 trained outputs of lenet5 have no names.*5 classes"
        ) as e:
            zoo.finetune(model, data, epochs=1, **QUIET)
        assert "model.reset_head(5)" in e.value.hint
    run = zoo.finetune(model.reset_head(5), shades(SHADES), epochs=1, **QUIET)
    assert run.model.labels == tuple(SHADES)


def test_as_many_trained_outputs_without_names_take_those_of_the_data_and_say_so(trained, caplog):
    nameless = again(trained)
    nameless.labels = None
    folder = nameless.save_pretrained(trained.path.parent / "nameless")
    given = {"epochs": 1, "freeze_until": "head", "lr": 1e-9, **QUIET}
    for model in (nameless, folder):
        caplog.clear()
        run = zoo.finetune(model, shades(["saw", "axe", "drill"]), **given)
        assert run.model.labels == ("saw", "axe", "drill")
        assert torch.allclose(run.model.head.weight, trained.model.head.weight, atol=1e-6)
        [record] = caplog.records
        words = "The 3 trained outputs of lenet5 had no names, and are called after the data now"
        assert record.levelno == logging.WARNING and record.getMessage().startswith(words)


def test_a_folder_without_names_gets_a_new_head_and_says_so(trained, capsys):
    nameless = again(trained)
    nameless.labels = None
    folder = nameless.save_pretrained(trained.path.parent / "outputs")
    run = zoo.finetune(folder, shades(SHADES), epochs=1, val=False, out=False)
    assert run.model.labels == tuple(SHADES)
    assert f"New head: {folder} has no names for its 3 outputs." in capsys.readouterr().err


def test_outputs_that_nobody_trained_and_that_are_too_many_have_no_names_and_it_is_said(caplog):
    run = zoo.finetune(zoo.create("lenet5"), shades(["axe", "saw"]), epochs=1, **QUIET)
    assert run.model.labels is None
    assert "The head has 10 outputs and the data 2 classes" in caplog.text


# --- other classes than those that a person trained ----------------------------------------------


def test_the_same_classes_in_another_order_keep_the_head(trained, capsys):
    data = shades(["saw", "axe", "hammer"])
    run = zoo.finetune(
        trained.path, data, epochs=1, freeze_until="head", lr=1e-9, val=False, out=False
    )
    assert run.model.labels == ("axe", "hammer", "saw")
    assert torch.allclose(run.model.head.weight, trained.model.head.weight, atol=1e-6)
    assert run.recipe["start"]["kept"] is None and "head:" not in capsys.readouterr().err.lower()
    before = zoo.evaluate(trained, data, progress=False)["accuracy"]
    assert zoo.evaluate(run, data, progress=False)["accuracy"] == before


@pytest.mark.parametrize(
    ("classes", "kept", "line"),
    [
        (
            ["drill", "saw", "hammer", "axe"],
            ["saw", "hammer", "axe"],
            "Head: kept 3 classes; new: drill.",
        ),
        (["saw", "axe"], ["saw", "axe"], "Head: kept 2 classes; left out: hammer."),
        (["drill", "saw"], ["saw"], "Head: kept 1 class; new: drill; left out: axe, hammer."),
    ],
)
def test_classes_that_stay_keep_their_weights(trained, tmp_path, capsys, classes, kept, line):
    given = {"epochs": 1, "val": False, "train": "conv1:conv1", "head": "auto"}
    run = zoo.finetune(trained.path, shades(classes), out=tmp_path / "run", **given)
    assert line in capsys.readouterr().err.splitlines()
    assert run.model.labels == tuple(classes) and run.model.num_outputs == len(classes)
    assert read_recipe(tmp_path / "run")["start"]["kept"] == kept
    model = again(trained)
    assert model.change_classes(classes) == tuple(kept)
    for name in kept:
        assert torch.equal(row(model, name), row(trained.model, name))
    loaded = zoo.create(tmp_path / "run")
    assert loaded.labels == tuple(classes) and torch.equal(
        loaded.head.weight, run.model.head.weight
    )
    assert run.model.origin.kept == () and not run.model.origin.new_head


def test_an_exported_folder_keeps_its_classes_too(trained, tmp_path):
    folder = again(trained).save_pretrained(tmp_path / "exported")
    run = zoo.finetune(
        folder, shades(["drill", "saw"]), epochs=1, lr=1e-9, freeze_until="head", **QUIET
    )
    assert torch.allclose(row(run.model, "saw"), row(trained.model, "saw"), atol=1e-6)


def test_a_name_that_is_there_twice_is_not_kept():
    model = zoo.create("lenet5", num_classes=3)
    model.labels = ("crane", "crane", "heron")
    assert model.change_classes(["heron", "crane"]) == ("heron",)
    model.labels = ("heron", "crane")
    assert model.change_classes(["crane", "crane", "heron"]) == ("heron",)
    assert model.num_outputs == 3 and model.labels == ("crane", "crane", "heron")
    assert model.change_classes(["owl", "swan"]) == () and model.origin.kept == ()
    with pytest.raises(zoo.ZooError, match="not one text"):
        model.change_classes("owl")


def test_official_classes_are_no_ones_own_and_the_head_is_new():
    run = zoo.finetune("lenet5", shades(["axe", "saw"]), epochs=1, **QUIET)
    assert run.recipe["start"]["kept"] is None and run.model.labels == ("axe", "saw")


def test_official_classes_in_another_order_keep_the_head():
    digits = zoo.create("lenet5", pretrained=True)
    ten = Pictures("ten", shades(SHADES).read, [i % 10 for i in range(20)], list("9876543210"))
    run = zoo.finetune("lenet5", ten, epochs=1, lr=1e-9, freeze_until="head", **QUIET)
    assert run.model.labels == digits.labels
    assert torch.allclose(run.model.head.weight, digits.head.weight, atol=1e-6)


def test_a_head_with_kept_classes_is_solved_on_demand_only(trained):
    data = shades(["drill", "saw", "axe"], each=8)
    auto = zoo.finetune(
        trained.path, data, epochs=1, freeze_until="head", out=False, progress=False
    )
    assert auto.history[0]["epoch"] == 1 and "strength" not in auto.best
    solved = zoo.finetune(
        trained.path, data, epochs=0, head="ridge", freeze_until="head", out=False, progress=False
    )
    assert solved.best["epoch"] == 0 and "strength" in solved.best


def test_a_run_with_kept_classes_goes_on_and_is_replayed(trained, tmp_path):
    folder = colours(tmp_path / "data", {n: (v,) * 3 for n, v in SHADES.items() if n != "axe"}, 4)
    given = {"val": False, "progress": False, "regularizers": "l2-sp"}
    zoo.finetune(trained.path, f"folder:{folder}", epochs=1, out=tmp_path / "one", **given)
    longer = zoo.finetune(
        trained.path, f"folder:{folder}", epochs=2, out=tmp_path / "one", resume=True, **given
    )
    once = zoo.finetune(trained.path, f"folder:{folder}", epochs=2, out=tmp_path / "two", **given)
    assert [r["loss"] for r in longer.history] == [r["loss"] for r in once.history]
    anew = replay(tmp_path / "two", out=tmp_path / "three", progress=False)
    assert [r["loss"] for r in anew.history] == [r["loss"] for r in once.history]
    assert json.dumps(anew.recipe["start"]) == json.dumps(once.recipe["start"])
