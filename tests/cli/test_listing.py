"""`zoo list`: names with a prefix on request, and which models have weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo_core import UnknownName, hookimpl, info, list_models
from zoo_core.cli import main
from zoo_core.cli.names import ModelName
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin

FACTS = """
schema = 1
[models."cv/net1"]
architecture = "lenet"
[models."cv/net2"]
architecture = "lenet"
[models."cv/net2".weights.a]
source = "file:/nowhere.safetensors"
[models."cv/deep/net"]
architecture = "lenet"
"""
ALL = ["cv/deep/net", "cv/net1", "cv/net2"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def known(tmp_path: Path) -> Iterator[None]:
    """Beside zoo's own plugins, one of a third party whose names have a prefix."""
    manifest = tmp_path / "cv.toml"
    manifest.write_text(FACTS)
    plugins = load_plugins(only=())
    hooks = SimpleNamespace(zoo_manifests=hookimpl(lambda: [manifest]))
    plugins.register(hooks, Plugin("zoo_cv", "zoo-cv", "1.0"))
    with using_catalogue(Catalogue(plugins)):
        yield


def printed(capsys: Capture, *words: str, code: int = 0) -> tuple[list[str], str]:
    """The names in the rows of stdout, and stderr."""
    assert main(words) == code
    out, err = capsys.readouterr()
    return [line.split()[0] for line in out.splitlines()[1:]], err


@pytest.mark.parametrize("pattern", ["cv/*", "cv", "cv/", "*/*net*"])
def test_names_with_a_prefix_are_listed_on_request(capsys: Capture, pattern: str) -> None:
    assert [name for name in list_models(pattern) if name.startswith("cv/")] == ALL
    names, _ = printed(capsys, "list", pattern)
    assert [name for name in names if name.startswith("cv/")] == ALL


def test_they_are_not_else(capsys: Capture) -> None:
    for pattern in (None, "*", "net*", "lenet", "c"):
        assert not {*ALL} & {*list_models(pattern)}
    assert list_models("cv/net?") == ALL[1:]
    assert list_models("cv/net1") == ["cv/net1"]
    assert list_models("timm") == list_models("timm/*") == list_models("timm/")


def test_a_name_that_is_none_leads_there(capsys: Capture) -> None:
    assert 'Closest: "cv/net2", "cv/net1"' in printed(capsys, "list", "cv/net9")[1]
    for wrong in ("cv", "cv/net9"):
        assert "Run \"zoo list 'cv/*'\"" in printed(capsys, "show", wrong, code=1)[1]
    assert info("cv/net2").name == "cv/net2"


def test_completion() -> None:
    def offered(typed: str) -> list[str]:
        return [item.value for item in ModelName().shell_complete(None, None, typed)]  # type: ignore[arg-type]

    assert offered("cv/net") == ["cv/net1", "cv/net2"]
    assert offered("cv/net2.") == ["cv/net2.a"]


def test_which_models_have_weights(capsys: Capture) -> None:
    assert list_models("cv", pretrained=True) == ["cv/net2"]
    assert list_models("cv", pretrained=False) == ["cv/deep/net", "cv/net1"]
    assert list_models(pretrained=True) == [name for name in list_models() if info(name).weights]
    assert main(["list", "cv", "--pretrained"]) == 0
    (row,) = capsys.readouterr().out.splitlines()[1:]
    assert row.startswith("cv/net2 ") and "1, no default" in row
    assert main(["list", "cv/net1", "--pretrained"]) == 0
    assert tuple(capsys.readouterr()) == ("", "The one model that matches has no weights.\n")


# --- names that none has -------------------------------------------------------------------------


def test_a_list_says_what_it_leaves_out(capsys: Capture) -> None:
    assert 'more of timm: zoo list "timm/*"' in printed(capsys, "list")[1]
    assert 'more of timm: zoo list "timm/*"' not in printed(capsys, "list", "lenet*")[1]


@pytest.mark.parametrize("wanted", ["vit_base", "timm/vit_base", "VIT-base"])
def test_the_begin_of_a_name_has_neighbours(capsys: Capture, wanted: str) -> None:
    with pytest.raises(UnknownName, match='Closest: "timm/vit_base_patch16') as raised:
        info(wanted)
    told = raised.value.message.partition("Closest: ")[2]
    named = re.findall(r'"(timm/[^"]+)"', told)
    assert 3 <= len(named) <= 4 and all(name.startswith("timm/vit_base") for name in named)
    assert {*named} <= {*list_models("timm/*")}
    assert named[0] in printed(capsys, "list", wanted)[1]


def test_a_typing_error_in_a_name_of_timm() -> None:
    with pytest.raises(UnknownName, match='Closest: "timm/efficientnet_b0"'):
        info("efficentnet_b0")
    with pytest.raises(UnknownName, match=r'Closest: "resnet50", "timm/resnext50_32x4d"'):
        info("resnext50")
