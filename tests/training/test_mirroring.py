"""Where mirror images mean another class, training leaves them out, says so, and writes it down."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

import zoo_core as zoo
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.runs.recipe import read_recipe
from zoo_core.training.replay import replay


@pytest.fixture(scope="module")
def arrows(tmp_path_factory) -> Path:
    """Arrows to the left and to the right, of which no name tells."""
    folder = tmp_path_factory.mktemp("arrows")
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        for i in range(24):
            picture = Image.new("L", (32, 32), int(rng.integers(0, 60)))
            y = int(rng.integers(12, 20))
            ImageDraw.Draw(picture).polygon([(5, y), (20, y - 7), (20, y + 7)], fill=230)
            if name == "two":
                picture = ImageOps.mirror(picture)
            picture.save(folder / name / f"{i}.png")
    return folder


def model(*, flip: bool = True) -> ZooModel:
    small = zoo.create("lenet5", num_classes=2)
    small.input = replace(small.input, flip=flip)
    return small


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    """An exported model that may be mirrored."""
    torch.manual_seed(0)
    return model().save_pretrained(tmp_path_factory.mktemp("start"))


def trained(arrows: Path, subject=None, **how) -> Run:
    how = {"epochs": 1, "out": False, **how}
    return zoo.finetune(subject or model(), f"folder:{arrows}", **how)


def test_what_is_mirrored_is_learned_and_said_and_written_down(arrows, capsys):
    run = trained(arrows, epochs=8, batch_size=8, lr=3e-3)
    said = capsys.readouterr().err
    assert 'In a mirror "one" and "two" look like each other: pictures are cropped' in said
    assert run.recipe["train"]["augment"] == "crop"
    assert run.accuracy > 0.9


def test_what_was_asked_for_is_done_and_said(arrows, capsys):
    for augment in (True, 3):
        run = trained(arrows, augment=augment)
        assert "and pictures are mirrored: mirrors=False" in capsys.readouterr().err
        assert run.recipe["train"]["augment"] is augment


@pytest.mark.parametrize(
    "how",
    [
        {"augment": "crop"},
        {"augment": False},
        {"augment": 3, "mirrors": False},
        {"mirrors": False},
        {"freeze_until": "head"},
    ],
)
def test_nothing_is_said_where_nothing_is_mirrored(arrows, capsys, how):
    trained(arrows, **how)
    assert "mirror" not in capsys.readouterr().err


def test_crops_alone_have_several_names_and_one_result(arrows, start):
    named = ({"augment": "crop"}, {"augment": True, "mirrors": False}, {"augment": "auto"})
    runs = [trained(arrows, start, **how) for how in named]
    assert {run.recipe["train"]["augment"] for run in runs} == {"crop"}
    assert len({run.history[0]["loss"] for run in runs}) == 1


def test_a_schedule_keeps_what_was_found(arrows):
    run = trained(arrows, schedule=[("head", 1), ("fc2", 1)], epochs=10)
    assert (run.recipe["train"]["augment"], run.recipe["train"]["mirrors"]) == ("auto", False)


def test_a_run_goes_on_and_repeats_with_what_was_found(arrows, start, tmp_path):
    out = tmp_path / "run"
    whole = trained(arrows, start, epochs=2, out=out)
    assert read_recipe(out)["train"]["augment"] == "crop"
    again = replay(out, out=tmp_path / "again", progress=False)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]
    longer = trained(arrows, start, epochs=3, out=out, resume=True)
    assert len(longer.history) == 3


def test_an_input_that_rules_mirrors_out_stays_so(arrows):
    with pytest.raises(zoo.RecipeError, match="whose mirror image means"):
        trained(arrows, model(flip=False), mirrors=True)
    with pytest.raises(zoo.RecipeError, match="leaves mirror images out"):
        trained(arrows, augment="crop", mirrors=True)
