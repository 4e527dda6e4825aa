"""A push to a place of a plugin's own: its scheme is printed and written, and no other."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub.server import HubServer
from support.fetching import own_places, same

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.scaffold import new_plugin

__all__ = ["own_places"]


@pytest.fixture
def house(own_places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind house://, by the plugin that `zoo plugins new --kind source` writes."""
    made = new_plugin("house", kind="source", to=tmp_path)
    monkeypatch.syspath_prepend(str(made.folder))
    monkeypatch.setenv("HOUSE_FOLDER", str(tmp_path / "folder"))
    plugins = load_plugins(only=())
    plugins.register(importlib.import_module("zoo_house"), Plugin("zoo_house", "zoo-house", "1"))
    with using_catalogue(Catalogue(plugins)):
        yield tmp_path / "folder"
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo_house"]:
        del sys.modules[name]


def tuned(classes: int = 3) -> ZooModel:
    torch.manual_seed(0)
    return zoo.create("lenet5", pretrained=True, num_classes=classes)


def all_text(folder: Path) -> str:
    texts = [path for path in folder.rglob("*") if path.suffix in (".md", ".json", ".toml")]
    assert {path.name for path in texts} >= {"README.md", "config.json"}
    return "\n".join(path.read_text(encoding="utf-8") for path in texts)


def test_what_is_printed_and_written(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = zoo.finetune("lenet5", "digits", freeze_until="head", epochs=1, out="run", progress=False)
    assert main(["push", "run", "house://me/digits"]) == 0
    said = capsys.readouterr().out
    assert "Pushed to house://me/digits, commit v1" in said
    assert said.endswith('Next: zoo.create("house://me/digits@v1")\n')
    place = house / "me" / "digits@v1"
    assert (place / "recipe.toml").exists()
    written = all_text(house)
    assert 'zoo.create("house://me/digits")' in written
    assert "hf://" not in said + written and "hf-hub:" not in written
    again = zoo.create("house://me/digits@v1")
    assert same(again, run.model.state_dict())
    assert again.origin.weights == "house://me/digits@v1"


def test_a_dry_run_and_json_say_the_same(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned().save_pretrained("exported")
    assert main(["push", "./exported", "house://me/digits", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Without --dry-run this goes to house://me/digits." in said
    assert "hf://" not in said and not house.exists()
    assert main(["push", "./exported", "house://me/digits", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reference"], told["url"]) == ("house://me/digits@v1", "house://me/digits")


def test_a_delta_on_what_is_there(house: Path) -> None:
    zoo.push(tuned(), "house://me/base")
    second = zoo.create("house://me/base")
    second.reset_head(5)
    assert zoo.push(second, "house://me/second").reference == "house://me/second@v1"
    config = json.loads((house / "me" / "second@v1" / "config.json").read_text())
    assert config["zoo"]["base"]["name"] == "house://me/base@v1"
    card = (house / "me" / "second@v1" / "README.md").read_text(encoding="utf-8")
    assert "base_model: me/base\n" in card
    assert same(zoo.create("house://me/second"), second.state_dict())


def test_a_name_alone_is_still_one_of_the_hub(
    house: Path, hub: HubServer, signed_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is installed beside does not change where a push goes."""
    zoo.push(tuned(), "house://alice/base")
    model = zoo.create("house://alice/base")
    model.reset_head(4)
    assert zoo.push(model, "alice/four", delta=False).reference == "hf://alice/four@v1"
    card = hub.file("alice/four", "README.md").decode()
    assert "base_model" not in card  # which would be alice/base of the Hub
    model.save_pretrained("exported")
    assert main(["push", "./exported", "alice/five", "--whole"]) == 0
    assert 'Next: zoo.create("hf://alice/five@v1")' in capsys.readouterr().out


def test_a_scheme_that_none_can_push_to(house: Path) -> None:
    with pytest.raises(zoo.PublishError, match="is no place to push to") as caught:
        zoo.push(tuned(), "https://me/digits")
    assert caught.value.hint == "Write hf://me/digits, house://me/digits."
