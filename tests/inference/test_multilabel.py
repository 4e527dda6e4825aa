"""A model trained for several classes in a picture: independent probabilities, wherever it goes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hub.server import HubServer
from PIL import Image
from support.in_process import run as zoo_command

import zoo_core as zoo
from zoo_core.model.run import Run

TRUTH = {0: [], 1: ["top"], 2: ["low"], 3: ["low", "top"]}


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Run:
    """A run on pictures with a bar at the top, one below, both or none."""
    place = tmp_path_factory.mktemp("several")
    rows, random = ["path,labels"], np.random.default_rng(0)
    for i in range(160):
        x = random.integers(0, 30, (28, 28)).astype(np.uint8)
        for name, bar in (("top", slice(2, 12)), ("low", slice(16, 26))):
            if name in TRUTH[i % 4]:
                x[bar, :] = 255
        Image.fromarray(x).save(place / f"{i}.png")
        rows.append(f"{i}.png,{' '.join(TRUTH[i % 4])}")
    (place / "t.csv").write_text("\n".join(rows) + "\n")
    given = {"epochs": 8, "out": place / "run", "progress": False}
    return zoo.finetune("lenet5", f"csv:{place / 't.csv'}", **given)


def pictures(run: Run) -> list[Path]:
    return [run.path.parent / f"{i}.png" for i in range(4)]


def test_each_probability_is_its_own(several):
    assert several.model.multilabel and several.accuracy > 0.95
    found = zoo.predict(several, pictures(several), progress=False)
    transform = several.model.transform()
    x = torch.stack([transform(Image.open(path)) for path in pictures(several)])
    with torch.no_grad():
        wanted = several.model.eval()(x).sigmoid()
    for one, row in zip(found, wanted, strict=True):
        named = dict(zip(several.model.labels, row.tolist(), strict=True))
        assert dict(one["top"]) == pytest.approx(named, abs=1e-6)
        assert one["top"][0] == (one["label"], one["probability"])
    assert [sorted(one["labels"]) for one in found] == list(TRUTH.values())
    assert sum(value for _, value in found[3]["top"]) > 1.5
    [both] = zoo.predict(several, pictures(several)[3], top=1, progress=False)
    assert len(both["top"]) == 1 and len(both["labels"]) == 2  # whatever top is


def test_one_class_for_each_picture_is_as_before():
    model = zoo.create("lenet5", pretrained=True)
    [one] = zoo.predict(model, Image.new("L", (28, 28)), top=10, progress=False)
    assert "labels" not in one and not model.multilabel
    assert sum(value for _, value in one["top"]) == pytest.approx(1)


def test_the_kind_is_kept_by_every_way_out(several, tmp_path):
    model = zoo.create(several.path)
    assert model.multilabel
    folder = model.save_pretrained(tmp_path / "folder")
    config = json.loads((folder / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification" and config["zoo"]["multilabel"]
    assert "any number of them in a picture" in (folder / "README.md").read_text()
    assert zoo.create(folder).multilabel
    assert zoo.predict(folder, pictures(several), progress=False) == zoo.predict(
        several, pictures(several), progress=False
    )
    plain = zoo.create("lenet5", pretrained=True).save_pretrained(tmp_path / "plain")
    config = json.loads((plain / "config.json").read_text())
    assert "problem_type" not in config and "multilabel" not in config["zoo"]
    assert not zoo.create(plain).multilabel


def test_push_and_back(hub: HubServer, signed_in: str):
    model = zoo.create("lenet5", pretrained=True).reset_head(2, labels=["low", "top"])
    model.multilabel = True
    for delta in (False, True):
        zoo.push(model, "alice/several", delta=delta)
        assert zoo.create("hf://alice/several").multilabel


@pytest.mark.slow
def test_timm_and_transformers_read_the_kind(tmp_path):
    from transformers import AutoConfig

    model = zoo.create("resnet18", num_classes=2)
    model.labels, model.multilabel = ("top", "low"), True
    with torch.no_grad():
        model(torch.rand(2, 3, 224, 224))
    folder = model.save_pretrained(tmp_path / "timm")
    assert AutoConfig.from_pretrained(folder).problem_type == "multi_label_classification"
    config = json.loads((folder / "config.json").read_text())
    del config["zoo"]  # as transformers would write it
    (folder / "config.json").write_text(json.dumps(config))
    assert zoo.create(folder).multilabel


@pytest.mark.slow
def test_an_exported_file_says_so(several, tmp_path):
    zoo.export(several, tmp_path / "model.pt2")
    extra = {"zoo": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    assert json.loads(extra["zoo"])["multilabel"] is True


def test_a_new_head_is_for_one_class_until_it_is_trained(several):
    model = zoo.create(several.path)
    assert model.change_classes(["top", "low", "left"]) and model.multilabel  # its rows are kept
    assert not model.reset_head(3).multilabel


def test_the_command_names_what_is_above_one_half(several):
    given = ["predict", str(several.path), *map(str, pictures(several))]
    shown = zoo_command(*given).stdout
    assert "above one half" in shown and "none" in shown
    rows = list(csv.DictReader(io.StringIO(zoo_command(*given, "--csv").stdout)))
    assert [sorted(filter(None, row["labels"].split("|"))) for row in rows] == list(TRUTH.values())
    found = json.loads(zoo_command(*given, "--json").stdout)
    assert [sorted(one["labels"]) for one in found] == list(TRUTH.values())


def test_data_of_the_other_kind_is_named(several, caplog):
    one = [(Image.new("L", (28, 28)), i % 2) for i in range(4)]
    zoo.evaluate(several, Named(one), progress=False)
    assert [record.getMessage() for record in caplog.records] == [
        "The model was trained for several classes in a picture, and Named has one class for each "
        "picture."
    ]


class Named(list):
    """Items with the names of the run."""

    classes = ("low", "top")
