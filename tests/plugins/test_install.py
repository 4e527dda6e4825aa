"""From `zoo plugins new` to a published model, as typed in a new environment; and what goes wrong.

Real packages, the real pip, new processes; the Hub is the one on loopback.
"""

from __future__ import annotations

import io
import json
import os
import pty
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hub.server import HubServer
from support.new_environment import NewEnvironment

from zoo_core.cli import main
from zoo_core.cli.plugins.uninstall import command as uninstall
from zoo_core.errors import PluginError
from zoo_core.plugins.install import distribution_of, examined, pip
from zoo_core.plugins.scaffold import KINDS

Shell = NewEnvironment


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A new environment, signed in to a Hub."""
    folder = tmp_path_factory.mktemp("fresh")
    with HubServer(tokens={"hf_write": ("me", "write")}) as hub:
        own = {"ZOO_CACHE": str(folder / ".cache"), "XDG_CONFIG_HOME": str(folder / ".config")}
        yield NewEnvironment(folder, hub.environment(folder / ".hf") | own)
        assert hub.errors == []


def plugins(shell: Shell) -> dict[str, dict]:
    """The plugins of third parties, by name."""
    rows = json.loads(shell.type("zoo plugins --json"))
    return {row["name"]: row for row in rows if not row["built_in"]}


# --- from nothing to a published model -----------------------------------------------------------


@pytest.mark.slow
def test_from_nothing_to_a_published_model(shell: Shell) -> None:
    """One story, and so one test: each part needs what the one before it installed."""
    four_commands_lead_to_a_tuned_model(shell)
    it_is_pushed_and_fetched_and_the_other_kinds_work(shell)
    they_are_uninstalled(shell)


def four_commands_lead_to_a_tuned_model(shell: Shell) -> None:
    """One is typed from memory, and each of the others is what zoo prints."""
    said = shell.type("zoo plugins new mynet")
    typed = ["zoo plugins new mynet", *said.partition("Next:\n")[2].split("\n")[:-1]]
    assert len(typed) == 4
    _, install, check, finetune = (line.strip() for line in typed)

    said = shell.type(install)
    assert "Successfully installed zoo-mynet-0.1.0" in said  # pip's own words
    assert "zoo_mynet (zoo-mynet 0.1.0) is installed: ok." in said
    assert said.endswith(f"Next: {check}\n")
    assert shell.type("zoo list mynet").splitlines()[1].split()[:2] == ["mynet", "73,146"]

    assert "FAIL" not in shell.type(check)

    shell.type(finetune)
    [run] = (shell.folder / "runs").iterdir()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert max(row["val_accuracy"] for row in rows) > 0.85


FETCHED = """
from pathlib import Path

import torch
import zoo_core as zoo


def test_what_was_pushed_comes_back() -> None:
    [run] = Path("runs").iterdir()
    ours, theirs = zoo.create(run).eval(), zoo.create("hf://me/digits").eval()
    pictures = torch.rand(2, *ours.input.size)
    assert theirs.info.distribution == "zoo-mynet"
    assert list(theirs.chain) == ["stem", "layer1", "layer2", "pool", "head"]
    assert torch.equal(ours(pictures), theirs(pictures))
"""


def it_is_pushed_and_fetched_and_the_other_kinds_work(shell: Shell) -> None:
    names = {"regularizer": "reg", "weights": "weigh", "command": "small", "source": "shelf"}
    for kind in names:
        shell.type(f"zoo plugins new {names[kind]} --kind {kind}")
    said = shell.type("zoo plugins install ./zoo-reg ./zoo-weigh zoo-small ./zoo-shelf")
    assert said.count("is installed: ok.") == 4
    assert set(plugins(shell)) == {"zoo_mynet", "zoo_reg", "zoo_weigh", "zoo_small", "zoo_shelf"}
    assert set(KINDS) == {"architecture", *names}
    assert "61,706  lenet5\n" in shell.type("zoo small --most 62_000")
    assert "λΣ(√(w²+δ²) - δ)" in shell.type("zoo regularizers reg")

    pushed = shell.type("zoo push runs/* me/digits")
    assert "Pushed to" in pushed
    (shell.folder / "test_fetched.py").write_text(FETCHED)
    # theirs are what new plugins come with
    tests = "test_fetched.py zoo-reg zoo-weigh zoo-small zoo-shelf"
    said = shell.type(f"python -m pytest --import-mode=importlib -q -W error {tests}")
    assert " passed" in said


def they_are_uninstalled(shell: Shell) -> None:
    """By the name of the plugin, of the distribution, and without what all begin with."""
    said = shell.type("zoo plugins uninstall mynet zoo_reg zoo-weigh small shelf --yes")
    assert "Successfully uninstalled zoo-mynet-0.1.0" in said
    assert said.endswith("Uninstalled zoo-mynet, zoo-reg, zoo-weigh, zoo-small, zoo-shelf.\n")
    assert plugins(shell) == {}
    assert 'No model "mynet"' in shell.fails("zoo show mynet")


# --- installing ----------------------------------------------------------------------------------


def test_editable_code_stays_where_it_is(shell: Shell) -> None:
    shell.type("zoo plugins new near --kind command")
    package = shell.folder / "zoo-near" / "zoo_near"
    with package.with_name("pyproject.toml").open("a") as project:
        project.write('[tool.hatch.build]\ndev-mode-dirs = ["."]\n')  # else it asks for `editables`
    install = "zoo plugins install -e ./zoo-near"
    assert "is installed: ok." in shell.type(install)
    code = package / "command.py"
    code.write_text(code.read_text().replace("List the models", "Show the models"))
    assert "Show the models" in shell.type("zoo near --help")

    (package / "__init__.py").write_text("import no_such_module\n")
    said = shell.fails(install)
    assert "Error: zoo_near (zoo-near 0.1.0) does not import: ModuleNotFoundError" in said
    assert "installed all the same" in said

    # one that ends whatever process lists the plugins can still be uninstalled
    (package / "__init__.py").write_text("import os\nos._exit(3)\n")
    shell.type("zoo plugins uninstall near --yes")
    assert plugins(shell) == {}


def test_what_cannot_be_installed(shell: Shell) -> None:
    said = shell.fails("zoo plugins install zoo-nowhere")
    assert "No matching distribution found for zoo-nowhere" in said  # pip's own words
    assert "Error: Nothing was installed: pip failed with zoo-nowhere." in said


def test_a_package_that_is_no_plugin(shell: Shell) -> None:
    project = shell.folder / "zoo-plain"
    (project / "zoo_plain").mkdir(parents=True)
    (project / "zoo_plain" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "zoo-plain"\nversion = "1"\n'
    )
    said = shell.fails("zoo plugins install ./zoo-plain")
    assert "Error: No plugin is in ./zoo-plain: nothing there has an entry point" in said
    assert "Nothing was installed.\npip installs what is no plugin: pip install ./zoo-plain" in said
    wheel = shell.folder / "zoo_plain-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("zoo_plain-1.dist-info/METADATA", "Name: zoo-plain\nVersion: 1\n")
    assert f"No plugin is in {wheel.name}" in shell.fails(f"zoo plugins install {wheel.name}")
    assert "zoo-plain" not in shell.type("python -m pip list")

    # what a build may add, only the build tells
    with (project / "pyproject.toml").open("a") as file:
        file.write('dynamic = ["entry-points"]\n')
    said = shell.fails("zoo plugins install ./zoo-plain")
    assert "Error: No plugin is in ./zoo-plain: nothing there has an entry point" in said
    assert 'pip has installed it: "pip uninstall NAME" takes it away again.' in said


def test_uv_where_there_is_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_core.plugins.install.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginError, match=r"has no pip, and there is no uv on the PATH"):
        pip("install", "zoo-near")
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/typed\nexit 7\n')
    uv.chmod(0o755)
    assert pip("uninstall", "zoo-near") == 7
    typed = (tmp_path / "typed").read_text()
    assert typed == f"pip uninstall --python {sys.executable} zoo-near\n"


# --- uninstalling --------------------------------------------------------------------------------

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plugins on PYTHONPATH: they are found, and pip leaves them alone."""
    for name in ("zoo-far", "acme-zoo"):
        info = tmp_path / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        both = (
            "zoo_both = zoo_far" if name == "acme-zoo" else "zoo_far = zoo_far\nzoo_both = zoo_far"
        )
        (info / "entry_points.txt").write_text(f"[zoo_core]\n{both}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def fails(capsys: Capture, *words: str, code: int = 1) -> str:
    """What `zoo plugins uninstall` says where it must fail."""
    assert main(["plugins", "uninstall", *words]) == code
    return capsys.readouterr().err


@pytest.mark.usefixtures("far")
def test_a_plugin_that_ends_its_process(tmp_path: Path) -> None:
    (tmp_path / "zoo_far.py").write_text("import os\nos._exit(3)\n")
    with pytest.raises(PluginError, match=r"does not list its plugins any more: exit code 3"):
        examined()


@pytest.mark.usefixtures("far")
def test_the_names_of_a_plugin() -> None:
    for name in ("far", "zoo_far", "zoo-far", "Zoo-Far", "zoo.far"):
        assert distribution_of(name) == "zoo-far"
    assert distribution_of("acme-zoo") == "acme-zoo"


@pytest.mark.usefixtures("far")
def test_names_that_cannot_be_uninstalled(capsys: Capture) -> None:
    for name in ("zoo_lenet", "lenet", "zoo-core", "zoo_core"):
        said = fails(capsys, name, "--yes")
        assert f"Error: {name} comes with zoo-core and cannot be uninstalled alone." in said
    said = fails(capsys, "farr", "--yes")
    assert said.startswith('Error: No plugin "farr" is installed. Closest: "far"')
    said = fails(capsys, "zoo_both", "--yes")
    assert said.startswith("Error: acme-zoo and zoo-far each have a plugin zoo_both.")


@pytest.mark.usefixtures("far")
def test_it_asks_first(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal's answer; where there is none, nothing is done."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert "say --yes" in fails(capsys, "far", code=2)
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"n\n")
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["plugins", "uninstall", "far"]) == 0
    os.close(keyboard)
    said = capsys.readouterr().out
    assert "Uninstall zoo-far? [y/N]" in said
    assert said.endswith("Nothing was uninstalled.\n")


@pytest.mark.usefixtures("far")
def test_what_pip_did_not_install_stays(capsys: Capture) -> None:
    said = fails(capsys, "far", "--yes")
    assert "Error: pip left zoo-far where it was" in said


@pytest.mark.usefixtures("far")
def test_completion_knows_what_can_be_uninstalled() -> None:
    context = click.Context(uninstall)
    [names] = uninstall.params[:1]
    assert [item.value for item in names.shell_complete(context, "zoo_")] == ["zoo_both", "zoo_far"]
