"""What a model says that it was loaded from, where timm knows nothing of it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from torch import nn

import zoo_core as zoo
from zoo_core.model.pretrained_cfg import tell_what_was_loaded


def told(model: zoo.ZooModel) -> dict:
    assert model.default_cfg == model.pretrained_cfg
    spec = model.input
    assert resolve_data_config(model=model) == {
        "input_size": spec.size,
        "interpolation": spec.interpolation,
        "mean": spec.mean,
        "std": spec.std,
        "crop_pct": spec.crop,
        "crop_mode": spec.crop_mode,
    }
    return model.pretrained_cfg


def test_weights_of_a_manifest() -> None:
    model = zoo.create("lenet5", pretrained=True, num_classes=3)
    facts = told(model)
    assert (facts["tag"], facts["license"], facts["num_classes"]) == ("mnist5k", "apache-2.0", 10)
    assert facts["source"] == zoo.info("lenet5").weights["mnist5k"].source
    assert facts["label_names"] == tuple("0123456789")
    create_transform(**resolve_data_config(model=model))
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert told(again) == facts


def test_without_weights_nothing_was_loaded() -> None:
    for name in ("lenet5", "alexnet", "resnet18d"):
        facts = told(zoo.create(name, num_classes=3))
        assert facts["tag"] == "" and facts["num_classes"] == 3
        assert not {"url", "file", "hf_hub_id", "source", "license", "label_names"} & facts.keys()
    assert facts["mean"] == (0.5,) * 3  # of zoo's default weights, and not of timm's
    assert (facts["architecture"], facts["first_conv"]) == ("resnet18d", "conv1.0")


def test_a_file_a_folder_and_a_run(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = zoo.create("lenet5", num_classes=3)
    model.labels = ("a", "b", "c")
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    facts = told(zoo.create("lenet5", pretrained=tmp_path / "own.safetensors"))
    assert (facts["file"], facts["source"]) == (str(tmp_path / "own.safetensors"), "file")
    assert (facts["tag"], facts["num_classes"]) == ("", 3)
    facts = told(zoo.create(model.save_pretrained(tmp_path / "saved")))
    assert (facts["file"], facts["source"]) == (str(tmp_path / "saved"), "local-dir")
    assert (facts["num_classes"], facts["label_names"]) == (3, ("a", "b", "c"))
    plain = {"out": tmp_path / "run", "progress": False}
    run = zoo.finetune("lenet5", "digits", freeze_until="head", head="ridge", epochs=0, **plain)
    facts = told(zoo.create(run.path))
    assert facts["file"] == str(tmp_path / "run") and facts["tag"] == ""


def test_another_thing_of_that_name_stays() -> None:
    """A plugin's module may have a layer, or a record, that is called so."""
    model = zoo.create("lenet5")
    del model.pretrained_cfg, model.default_cfg
    model.default_cfg = nn.Identity()
    tell_what_was_loaded(model, None)
    assert isinstance(model.default_cfg, nn.Identity) and not hasattr(model, "pretrained_cfg")


def test_it_follows_what_the_model_has_now() -> None:
    model = zoo.create("resnet18d", num_classes=3)
    model.conv1[0] = nn.Conv2d(1, 32, 3, 2, 1, bias=False)
    facts = told(model)
    assert (facts["input_size"], facts["test_input_size"][0]) == ((1, 224, 224), 1)
    model.fc = nn.Linear(512, 5)
    model.labels = tuple("abcde")
    facts = told(model)
    assert (facts["num_classes"], facts["label_names"]) == (5, tuple("abcde"))
    model.input = replace(model.input, size=(1, 96, 96), crop=0.5)
    assert told(model)["input_size"] == (1, 96, 96) and "test_input_size" not in told(model)
    assert resolve_data_config(model=copy.deepcopy(model))["crop_pct"] == 0.5


def test_a_table_that_somebody_puts_there_is_told() -> None:
    model = zoo.create("timm/test_resnet")
    model.pretrained_cfg = {"input_size": (3, 64, 64)}
    for again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.pretrained_cfg == {"input_size": (3, 64, 64)}
        assert again.default_cfg["architecture"] == "test_resnet"
    del model.pretrained_cfg
    assert not hasattr(model, "pretrained_cfg")
