"""`zoo plugins new`: what it writes, how it reads, which names it takes, and that it is whole."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click import Context
from support.places import ROOT

from zoo_core import __version__
from zoo_core.cli import main, zoo
from zoo_core.errors import PluginError
from zoo_core.plugins import scaffold
from zoo_core.plugins.names import LONGEST
from zoo_core.plugins.scaffold import KINDS, TEMPLATES, new_plugin

LONG = "a-name-of-thirty-characters-ab"
EVERYWHERE = {".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml"}
FILES = {
    "architecture": {"zoo_x/__init__.py", "zoo_x/model.py", "zoo_x/registry.toml"},
    "regularizer": {"zoo_x/__init__.py", "zoo_x/penalty.py"},
    "weights": {
        *("zoo_x/__init__.py", "zoo_x/registry.toml", "zoo_x/weights.safetensors"),
        "train.py",
    },
    "command": {"zoo_x/__init__.py", "zoo_x/command.py"},
    "source": {"zoo_x/__init__.py", "zoo_x/source.py"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of every kind, under a short name and under the longest."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        for name in ("x", LONG):
            (folder / kind).mkdir(exist_ok=True)
            new_plugin(name, kind=kind, to=folder / kind)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """All text files of a folder, by path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written(written: Path, kind: str) -> None:
    package = written / kind / "zoo-x"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert files == EVERYWHERE | FILES[kind] | {"tests/test_plugin.py"}
    assert "{{ " not in "".join(texts(package).values()).replace("${{ matrix.python }}", "")
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"zoo_core": {"zoo_x": "zoo_x"}}
    assert project["dependencies"] == [f"zoo-core>={__version__}"]
    assert "plugin_tests" in (package / "tests" / "test_plugin.py").read_text()


def test_one_name_in_all_its_forms(written: Path) -> None:
    assert len(LONG) == LONGEST
    package = written / "architecture" / f"zoo-{LONG}"
    module = f"zoo_{LONG.replace('-', '_')}"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["entry-points"]["zoo_core"]) == (
        f"zoo-{LONG}",
        {module: module},
    )
    assert (
        "class ANameOfThirtyCharactersAb(nn.Module)" in (package / module / "model.py").read_text()
    )
    manifest = tomllib.loads((package / module / "registry.toml").read_text())
    assert list(manifest["models"]) == [LONG.replace("-", "_")]


def test_it_reads_as_our_own_code_does(written: Path) -> None:
    """By the settings that it brings, and by ours; with types everywhere."""
    for config in ([], ["--config", str(ROOT / "pyproject.toml")]):
        for words in (
            ["check"],
            ["check", "--select", "ANN0,ANN2"],
            ["format", "--check", "--diff"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *words, *config, "--no-cache", written],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


def test_its_weights_are_ours(written: Path) -> None:
    """What the template says of the weights that it copies is what the registry says of them."""
    manifest = (written / "weights" / "zoo-x" / "zoo_x" / "registry.toml").read_text()
    theirs = tomllib.loads(manifest)["models"]["x"]["weights"]["first"]
    registry = tomllib.loads((ROOT / "registry.toml").read_text())
    ours = registry["models"]["lenet5"]["weights"]["mnist5k"]
    for key in ("sha256", "license", "labels", "metrics"):
        assert theirs[key] == ours[key]
    assert (TEMPLATES / "weights/package/weights.safetensors.copy").read_text().strip() == ours[
        "source"
    ]


# --- on the command line -------------------------------------------------------------------------


def test_it_says_what_it_made_and_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "mynet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'zoo-mynet adds the model "mynet":'
    assert "  zoo_mynet/model.py" in lines
    assert lines[lines.index("Next:") + 1 :] == [
        "  zoo plugins install ./zoo-mynet",
        "  zoo plugins check mynet",
        "  zoo finetune mynet --data digits --epochs 3",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["zoo-mynet"]


def test_another_place(tmp_path: Path) -> None:
    place = tmp_path / "my plugins"
    place.mkdir()
    made = new_plugin("mynet", to=place)
    assert made.folder == place / "zoo-mynet"
    assert made.commands[0] == f"zoo plugins install '{place}/zoo-mynet'"
    with pytest.raises(PluginError, match=r"There is no folder .*/nowhere to make zoo-mynet in"):
        new_plugin("mynet", to=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("MyNet", "my_net"),
        ("my net", "my_net"),
        ("2net", "net"),
        ("my__net", "my_net"),
        ("zoo-mynet", "mynet"),
        ("zoo_mynet", "mynet"),
        ("../mynet", "mynet"),
        ("réseau", "reseau"),
        ("网", "mynet"),
        ("none", "none_net"),
        ("tensor", "tensor_net"),
        ("a" * 31, "a" * 30),
    ],
)
def test_a_name_that_cannot_be(tmp_path: Path, name: str, instead: str) -> None:
    with pytest.raises(PluginError, match="cannot be the name of a plugin") as caught:
        new_plugin(name, to=tmp_path)
    assert caught.value.hint == f"Type: zoo plugins new {instead}"
    assert list(tmp_path.iterdir()) == []
    new_plugin(instead, to=tmp_path)  # what it says to type is right


@pytest.mark.parametrize(
    ("name", "kind", "holder"),
    [
        ("lenet5", "architecture", 'zoo-core has a model "lenet5"'),
        ("googlenet", "weights", 'zoo-core has a model "googlenet"'),
        ("resnet", "architecture", r"zoo_resnet \(zoo-core .*\) is installed"),
        ("hub", "command", r"zoo_hub \(zoo-core .*\) is installed"),
        ("core", "command", f"zoo-core {__version__} is installed"),
        ("l2-sp", "regularizer", 'There is a regularizer "l2-sp"'),
        ("finetune", "command", 'zoo has the command "finetune"'),
        ("demo", "command", 'zoo has the command "demo"'),
        ("cutout", "regularizer", "zoo-cutout is a plugin of others"),
        ("pkg", "source", 'There is a weight source "pkg:"'),
    ],
)
def test_a_name_that_is_taken(tmp_path: Path, name: str, kind: str, holder: str) -> None:
    with pytest.raises(PluginError, match=rf"is taken\. {holder}\."):
        new_plugin(name, kind=kind, to=tmp_path, commands=zoo.list_commands(Context(zoo)))
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_kind_is_free(tmp_path: Path) -> None:
    assert new_plugin("finetune", to=tmp_path).adds == 'the model "finetune"'


def test_a_kind_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r'No kind "weight" of plugin. Closest: "weights"'):
        new_plugin("mynet", kind="weight", to=tmp_path)


# --- whole or not at all -------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    place = tmp_path / "zoo-mynet"
    if there == "folder":
        place.mkdir()
    elif there == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(PluginError, match="zoo-mynet is there already"):
        new_plugin("mynet", to=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["zoo-mynet"]
    assert not place.is_file() or place.read_text() == "mine"


def test_a_template_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaffold, "_meant", lambda reference: tmp_path / "no such file")
    with pytest.raises(PluginError, match="zoo-mine cannot be written: No such file or directory"):
        new_plugin("mine", kind="weights", to=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_somebody_else_was_quicker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = scaffold._fill

    def slowly(*given: object) -> None:
        (tmp_path / "zoo-mynet").mkdir(exist_ok=True)
        (tmp_path / "zoo-mynet" / "mine").touch()
        fill(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(scaffold, "_fill", slowly)
    with pytest.raises(PluginError, match="cannot be written: Directory not empty"):
        new_plugin("mynet", to=tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["zoo-mynet", "mine"]
