"""A recipe finds its relative paths from another folder, or says where it looked."""

import shutil

import pytest
from support.pictures import colours

import zoo_core as zoo
from zoo_core.runs.recipe import read_recipe
from zoo_core.training.replay import replay


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with data, and a run whose recipe names both by relative paths."""
    folder = tmp_path / "project"
    colours(folder / "data" / "train", {"a": (0, 0, 0), "b": (200, 9, 9)}, count=6)
    colours(folder / "data" / "val", {"a": (0, 0, 0), "b": (200, 9, 9)}, count=3)
    monkeypatch.chdir(folder)
    given = {"epochs": 1, "progress": False, "val": "folder:data/val"}
    zoo.finetune("lenet5", "folder:data/train", out="runs/first", **given)
    return folder


def history(run):
    return [row["loss"] for row in run.history]


def test_from_another_folder_the_same_data_is_found(project, tmp_path, monkeypatch):
    assert read_recipe(project / "runs" / "first")["data"]["folder"] == "../.."
    first = history(replay("runs/first", out="runs/again", progress=False))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = project / "runs" / "first" / "recipe.toml"
    assert history(replay(recipe, out="second", progress=False)) == first
    assert history(replay("second", out="third", progress=False)) == first
    assert replay(project / "runs" / "first", resume=True, progress=False).history


def test_a_project_may_move_as_a_whole(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.move(project, tmp_path / "moved")
    run = replay(tmp_path / "moved" / "runs" / "first", out=tmp_path / "again", progress=False)
    assert run.history


def test_a_recipe_alone_looks_where_it_is_run_and_beside_itself(project, tmp_path, monkeypatch):
    alone = tmp_path / "mail"
    alone.mkdir()
    shutil.copy(project / "runs" / "first" / "recipe.toml", alone)
    assert replay(alone / "recipe.toml", out="runs/here", progress=False).history
    monkeypatch.chdir(alone)
    with pytest.raises(zoo.DataError) as caught:
        replay("recipe.toml", out="runs/gone", progress=False)
    said = str(caught.value)
    assert "The data folder:data/train of recipe.toml is not there; looked in" in said
    assert f"{alone}." in said and not (alone / "runs").exists()
    shutil.copytree(project / "data", alone / "data")
    assert replay("recipe.toml", out="runs/here", progress=False).history


def test_a_run_that_began_with_a_run_finds_it(project, tmp_path, monkeypatch):
    given = {"epochs": 1, "progress": False}
    zoo.finetune("./runs/first", "folder:data/train", out="runs/second", **given)
    monkeypatch.chdir(tmp_path)
    assert replay(project / "runs" / "second", out="third", progress=False).history


def test_absolute_paths_and_data_of_packages_need_no_folder(project):
    given = {"epochs": 1, "progress": False}
    zoo.finetune("lenet5", f"folder:{project}/data/train", out="runs/absolute", **given)
    assert "folder" not in read_recipe(project / "runs" / "absolute")["data"]
