"""Models chosen by their figures: in Python and, with the same words, in a shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.in_process import run

import zoo_core as zoo
from zoo_core.browsing.amounts import amount
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin

FACTS = """
schema = 1
measured = "by us, 2026-05-01"
[models."cv/small"]
architecture = "lenet"
params = 1_000_000
gmacs = 0.5
[models."cv/small".weights.plain]
default = true
source = "file:/nowhere.safetensors"
license = "cc-by-nc-4.0"
metrics = { "imagenet-1k.top1" = 60.0 }
[models."cv/small".weights.free]
source = "file:/nowhere.safetensors"
license = "MIT"
metrics = { "imagenet-1k.top1" = 70.0, "imagenet-1k.top5" = 90.0 }
[models."cv/small".weights.free384]
source = "file:/nowhere.safetensors"
license = "MIT"
input = { size = [3, 384, 384] }
metrics = { "imagenet-1k.top1" = 75.0 }
gmacs = 1.5
speed = { gpu = 100 }
[models."cv/large"]
architecture = "lenet"
params = 300_000_000
gmacs = 30
[models."cv/large".weights.a]
default = true
source = "file:/nowhere.safetensors"
license = "mit"
metrics = { "imagenet-1k.top1" = 85.0 }
[models."cv/digits"]
architecture = "lenet"
params = 60_000
[models."cv/digits".weights.a]
default = true
source = "file:/nowhere.safetensors"
license = "mit"
metrics = { "mnist.top1" = 99.0 }
[models."cv/untold"]
architecture = "lenet"
[models."cv/untold".weights.a]
default = true
source = "file:/nowhere.safetensors"
"""


@pytest.fixture(autouse=True)
def known(tmp_path: Path) -> Iterator[None]:
    """Beside zoo's own plugins, one of a third party whose names have a prefix."""
    manifest = tmp_path / "cv.toml"
    manifest.write_text(FACTS)
    plugins = load_plugins(only=())
    hooks = SimpleNamespace(zoo_manifests=zoo.hookimpl(lambda: [manifest]))
    plugins.register(hooks, Plugin("zoo_cv", "zoo-cv", "1.0"))
    with using_catalogue(Catalogue(plugins)):
        yield


def names(*words: str) -> list[str]:
    return [row["name"] for row in json.loads(run("list", "cv", "--json", *words).stdout)]


CASES = [
    ({"sort": "params"}, "digits small large untold"),
    ({"sort": "-params"}, "large small digits untold"),
    ({"sort": "top1"}, "large small digits untold"),  # another data set comes after
    ({"sort": "gmacs"}, "small large digits untold"),
    ({"max_params": "30M"}, "digits small"),
    ({"max_gmacs": "600M"}, "small"),
    ({"max_gmacs": 0.4}, ""),
    ({"min_top1": 85}, "digits large"),
    ({"installed": True}, ""),
]


@pytest.mark.parametrize(("asked", "expected"), CASES)
def test_the_same_in_python_and_in_a_shell(asked: dict, expected: str) -> None:
    wanted = [f"cv/{name}" for name in expected.split()]
    assert zoo.list_models("cv", **asked) == wanted
    words = [
        f"--{key.replace('_', '-')}" + ("" if value is True else f"={value}")
        for key, value in asked.items()
    ]
    assert names(*words) == wanted


def test_weights_that_fit_are_told_where_the_default_ones_do_not() -> None:
    assert zoo.list_models("cv/small*") == ["cv/small"]
    assert zoo.list_models("cv/small*", licence="mit") == ["cv/small.free384"]  # the best of them
    assert zoo.list_models("cv/small*", licence="mit", max_input=224) == ["cv/small.free"]
    assert zoo.list_models("cv/small*", licence=["mit", "cc-by-nc-4.0"]) == ["cv/small"]
    (row,) = json.loads(run("list", "cv/s*", "--licence", "MIT", "--json").stdout)
    assert (row["name"], row["told_weights"], row["default_weights"]) == (
        "cv/small",
        "free384",
        "plain",
    )
    assert (row["top1"], row["top1_on"], row["gmacs"]) == (75.0, "imagenet-1k", 1.5)
    assert (row["speed"], row["measured"]) == ({"gpu": 100}, "by us, 2026-05-01")
    line = run("list", "cv/s*", "--licence", "mit").stdout.splitlines()[1]
    assert line.split()[:7] == [
        *("cv/small", "1,000,000", "1.50", "75.00"),
        *("imagenet-1k", "3x384x384", "free384"),
    ]


def test_what_lacks_a_figure_is_counted() -> None:
    done = run("list", "cv", "--max-params", "1G")
    assert "cv/untold" not in done.stdout
    assert done.stderr.startswith("Left out: 1 model lacks a figure to tell whether they fit.")
    assert "None of 4 models fits." in run("list", "cv", "--min-top1", "99.9").stderr
    assert "The one model does not fit." in run("list", "cv/large", "--min-top1", "99.9").stderr


def test_weights_are_listed_by_name() -> None:
    assert zoo.list_models("cv/small.free") == names_of("cv/small.free") == ["cv/small.free"]
    assert zoo.list_models("cv/small.plain") == ["cv/small"]
    assert zoo.list_models("cv/*.a", sort="params")[:2] == ["cv/digits", "cv/large"]
    assert zoo.list_models("cv/small.free", min_top1=71) == []
    assert 'No model matches "cv/small.none".' in run("list", "cv/small.none").stderr


def names_of(pattern: str) -> list[str]:
    rows = json.loads(run("list", pattern, "--json").stdout)
    return [f"{row['name']}.{row['told_weights']}" for row in rows]


def test_what_fits_besides_is_counted_with_its_command() -> None:
    done = run("list", "--max-params", "1M", "--min-top1=70.5%", "--licence", "MIT", "--sort=top1")
    words = "--max-params 1000000 --min-top1 70.5 --licence MIT --sort top1"
    (told,) = [line for line in done.stderr.splitlines() if "more of cv" in line]
    assert told == f'2 more of cv: zoo list "cv/*" {words}'
    assert names(*words.split())[0] == "cv/digits"
    assert "more of" not in run("list", "--installed").stderr


def test_what_is_here(tmp_path: Path) -> None:
    assert zoo.list_models("lenet5", installed=True) == ["lenet5"]
    assert zoo.list_models("resnet50", installed=True) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--sort", "top2"], 2, 'not sorted by "top2". Closest: "top1".'),
        (["--sort", "accuracy"], 2, 'Closest: "top1".'),
        (["--sort", "colour"], 2, "There are: name, params, gmacs, top1, input."),
        (["--max-params", "30X"], 2, '"30X" is no number above 0. Write such as 80, 30M or 1.5G.'),
        (["--max-params", "-1"], 2, '"-1" is no number above 0.'),
        (["--max-gmacs", "nan"], 2, '"nan" is no number above 0. Write such as 4.5 or 500M.'),
        (["--min-top1", "9" * 400], 2, "is no percentage above 0 and up to 100."),
        (["--min-top1", "184"], 2, '"184" is no percentage above 0 and up to 100. Write 80 or '),
        (["--licence", "apache"], 1, 'have the licence "apache". Closest: "apache-2.0".'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(words: list[str], code: int, said: str) -> None:
    done = run("list", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "unexpected" not in done.stderr


def test_what_cannot_be_meant_in_python() -> None:
    with pytest.raises(zoo.UnknownName, match='Closest: "gmacs"'):
        zoo.list_models(sort="flops")
    with pytest.raises(zoo.ZooError, match='max_params: "many" is no number'):
        zoo.list_models(max_params="many")
    with pytest.raises(zoo.ZooError, match='max_input: "True"'):
        zoo.list_models(max_input=True)
    with pytest.raises(zoo.ZooError, match='min_top1: "True" is no percentage'):
        zoo.list_models(min_top1=True)
    for licence in (5, ["mit", 5]):
        with pytest.raises(
            zoo.ZooError, match=r'licence: .*5\]? is no name\. Write "mit", or several'
        ):
            zoo.list_models(licence=licence)  # type: ignore[arg-type]


def test_a_percentage_may_have_its_sign() -> None:
    assert zoo.list_models("cv", min_top1="85%") == ["cv/digits", "cv/large"]
    assert names("--min-top1", "85 %") == ["cv/digits", "cv/large"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("30M", 30e6),
        ("1.5 g", 1.5e9),
        ("25,557,032", 25557032),
        ("1_000k", 1e6),
        ("1.91T", 1.91e12),
        (".5B", 5e8),
    ],
)
def test_amounts(text: str, number: float) -> None:
    assert amount(text) == pytest.approx(number)


def test_show_tells_figures_their_source_and_date() -> None:
    one = run("show", "cv/small.free384").stdout
    assert "multiply-adds   1.50 G for a picture of 3x384x384" in one
    assert "pictures/s      gpu 100" in one
    assert "figures from    by us, 2026-05-01" in one
    every = run("show", "cv/small").stdout
    assert "The figures are from by us, 2026-05-01." in every
    timm = run("show", "timm/convnext_tiny").stdout
    assert "timm's tables of results: accuracy of 2025-10-30" in timm
    row = next(line for line in timm.splitlines() if line.startswith("in12k_ft_in1k "))
    told = "yes 84.19 imagenet-1k 3x224x224 apache-2.0 4.47"
    assert row.split()[1:7] == told.split()
    assert json.loads(run("show", "timm/convnext_tiny", "--json").stdout)["gmacs"] == 4.47
