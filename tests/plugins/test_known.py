"""The directory of known plugins, and what zoo says about a name that one of them has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.known import PAGE, known_plugins, page, who_has


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m zoo_core.plugins.known"


@pytest.mark.parametrize(
    ("call", "name", "folder"),
    [
        (zoo.info, "residual_attention56", "zoo-residual-attention"),
        (zoo.info, "residual_attention56.imagenet", "zoo-residual-attention"),
        (zoo.info, "residual_attention", "zoo-residual-attention"),
        (zoo.info, "zoo-residual-attention:residual_attention56", "zoo-residual-attention"),
        (zoo.create, "residual_attention92_small", "zoo-residual-attention"),
        (zoo.regularizers, "cutout=8", "zoo-cutout"),
    ],
)
def test_a_name_that_a_known_plugin_has(call, name: str, folder: str) -> None:
    with pytest.raises(zoo.UnknownName) as caught:
        call(name)
    command = f"zoo plugins install ./docs/examples/{folder}"
    assert caught.value.hint == f"The plugin {folder} has it: {command}"


@pytest.mark.parametrize("name", ["residual_attention57", "zoo-other:residual_attention56", ""])
def test_a_name_that_none_has(name: str) -> None:
    with pytest.raises(zoo.UnknownName, match=r'Run "zoo list" for all models\.'):
        zoo.info(name)


def test_one_that_is_installed_and_does_not_give_it(tmp_path: Path) -> None:
    entry = known_plugins()[0]
    info = tmp_path / f"{entry.plugin}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {entry.distribution}\nVersion: 1\n"
    )
    code = "from zoo_core.plugins.known import who_has; print(who_has('cutout', 'regularizers'))"
    words = [sys.executable, "-c", code]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "is installed, but broken or not named in ZOO_PLUGINS" in said


def test_it_is_read_only_for_an_unknown_name() -> None:
    code = """
import sys
from zoo_core.cli import main
main(["list"]), main(["show", "lenet5"])
assert not {"zoo_core.plugins.known", "zoo_core.plugins.requirements"} & {*sys.modules}
main(["show", "lenet6"])
assert "zoo_core.plugins.known" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_entries_name_nothing_that_zoo_has() -> None:
    ours = {*catalogue().regularizers(), *zoo.list_models("*")}
    for plugin in known_plugins():
        assert {*plugin.models, *plugin.regularizers} & ours == set()
        assert who_has("no_such_name", "models", "architectures", "regularizers") == ""
