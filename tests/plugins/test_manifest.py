"""Manifests are read strictly: a fault is told with file, table and the closest valid key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo_core.errors import ManifestError
from zoo_core.plugins.manifest import read_manifest

GOOD = """
schema = 1
measured = "by us, 2026-05-01"

[models.net]
architecture = "acmenet"
default = true
config = { width = 4, act = "relu", blocks = [1, 2] }
params = 1_602
gmacs = 0.1
paper = "https://example.org/paper"
summary = "one convolution"
num_classes = 10
input = { size = [1, 8, 8], mean = [0.5], std = [0.5], crop = 1.0, flip = false }

[models.net.weights.toy]
default = true
source = "file:/data/net.safetensors"
sha256 = "0e5edc506c0a56a53b505e01ec03aa3198b55101abe1ad1647bacab6623a9aed"
license = "apache-2.0"
labels = ["cat", "dog"]
metrics = { "toys.top1" = 99, "toys.top5" = 100.0 }
gmacs = 0.2
macts = 1
speed = { cpu = 120.5 }

[models.net.weights."v1.1"]
source = "hf://acme/net@main/model.safetensors"
labels = "imagenet-1k"
input = { size = [3, 8, 8] }
"""


def write(folder: Path, text: str, name: str = "acme.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_one(tmp_path: Path) -> None:
    (net,) = read_manifest(write(tmp_path, GOOD))
    assert (net.name, net.architecture) == ("net", "acmenet")
    assert (net.params, net.gmacs, net.num_classes) == (1602, 0.1, 10)
    assert net.config == {"width": 4, "act": "relu", "blocks": [1, 2]}
    assert (net.input.size, net.input.mean, net.input.flip) == ((1, 8, 8), (0.5,), False)
    toy, other = net.weights.values()
    assert net.default_weights is toy
    assert (toy.tag, toy.labels, toy.num_classes) == ("toy", ("cat", "dog"), 2)
    assert toy.metrics == {"toys.top1": 99, "toys.top5": 100}
    assert (toy.gmacs, toy.macts, toy.speed) == (0.2, 1, {"cpu": 120.5})
    assert (toy.measured, other.measured) == ("by us, 2026-05-01", "")  # it has no figures
    assert toy.input == net.input  # its own where it has none
    assert (other.tag, other.labels, other.input.size) == ("v1.1", "imagenet-1k", (3, 8, 8))


def test_the_input_of_a_model_is_that_of_its_default_weights(tmp_path: Path) -> None:
    text = """
schema = 1
[models.net]
architecture = "acmenet"
[models.net.weights.a]
source = "file:/a"
input = { size = [3, 32, 32] }
[models.net.weights.b]
default = true
source = "file:/b"
input = { size = [3, 64, 64] }
"""
    assert read_manifest(write(tmp_path, text))[0].input.size == (3, 64, 64)


def test_json_of_the_same_schema(tmp_path: Path) -> None:
    models = {"acme/net": {"architecture": "acmenet", "config": {"width": 4}}}
    text = json.dumps({"schema": 1, "models": models})
    (net,) = read_manifest(write(tmp_path, text, "acme.json"))
    assert (net.name, net.config) == ("acme/net", {"width": 4})


def test_no_models(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, "schema = 1")) == []


MODEL, WEIGHTS, OTHER = "[models.net]", "[models.net.weights.toy]", "[models.net.weights.v1.1]"
CUBIC, SQUISH = 'interpolation = "cubic"', 'crop_mode = "squish"'


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        # keys
        ("summary =", "sumary =", MODEL, 'unknown key "sumary". Closest: "summary".'),
        ("gmacs =", "flops =", MODEL, 'unknown key "flops". Valid: architecture, default, config,'),
        ("license =", "licence =", WEIGHTS, 'unknown key "licence". Closest: "license".'),
        ("sha256 =", "sha25 =", WEIGHTS, 'unknown key "sha25". Closest: "sha256".'),
        ("crop = 1.0", "crops = 1.0", MODEL, 'unknown key "crops" in input. Closest: "crop".'),
        ("flip =", "crop_mod =", MODEL, 'unknown key "crop_mod" in input. Closest: "crop_mode".'),
        ("size = [3, 8", "sise = [3, 8", OTHER, 'unknown key "sise" in input. Closest: "size".'),
        ("[models.net]", "[model.net]", "", 'unknown key "model". Closest: "models".'),
        ("schema = 1", "schema = 1\nby = 'me'", "", '"by". Valid: schema, measured, models.'),
        # missing ones
        ('architecture = "acmenet"', "", MODEL, 'missing required field "architecture"'),
        ('source = "file:/data/net.safetensors"', "", WEIGHTS, 'missing required field "source"'),
        # types
        ("1_602", '"1602"', MODEL, 'Expected "int | null", got "str", at "params"'),
        ("true\nconfig", "1\nconfig", MODEL, 'Expected "bool", got "int", at "default"'),
        ("[1, 8, 8]", "[8, 8]", MODEL, 'Expected "array" of length 3, got 2, at "input.size"'),
        ("= 99", '= "high"', WEIGHTS, 'Expected "float", got "str", at "metrics[...]"'),
        ("width = 4", "width = { a = 1 }", MODEL, 'at "config[...]"'),
        # values
        ("0e5edc", "0E5EDC", WEIGHTS, "sha256 must be 64 lower-case hex digits"),
        ("0e5edc", "", WEIGHTS, "sha256 must be 64 lower-case hex digits"),
        ("file:/data", "/data", WEIGHTS, "has no scheme"),
        ("mean = [0.5]", "mean = [0.5, 0.5]", MODEL, "input needs 1 numbers in mean"),
        ("std = [0.5]", "std = [0.0]", MODEL, "> 0 in std"),
        ("crop = 1.0", "crop = 2.5", MODEL, "crop in (0, 2]"),
        ("crop = 1.0", "crop = 0.0", MODEL, "crop in (0, 2]"),
        ("size = [1, 8, 8]", "size = [1, 0, 8]", MODEL, "input sizes must be positive"),
        ("params = 1_602", "params = -1", MODEL, "params, gmacs and num_classes must be positive"),
        ("macts = 1", "macts = -1", WEIGHTS, "gmacs, macts and what is in speed must be positive"),
        ("= 120.5", "= inf", WEIGHTS, "gmacs, macts and what is in speed must be positive"),
        ('"by us, 2026-05-01"', "2026-05-01", "", "measured must be text"),
        ("classes = 10", "classes = 0", MODEL, "params, gmacs and num_classes must be positive"),
        ("crop = 1.0", CUBIC, MODEL, 'interpolation is "cubic". Closest: "bicubic".'),
        ("crop = 1.0", SQUISH, MODEL, 'crop_mode is "squish". Closest: "squash".'),
        ("crop = 1.0", 'crop_mode = "x"', MODEL, "Valid: center, squash, border."),
        # names
        ("[models.net]", '[models."net:8"]', "[models.net:8]", '"net:8" is no model name'),
        ("weights.toy", 'weights."a b"', "[models.net.weights.a b]", '"a b" is no weights name'),
        # the whole file
        ("schema = 1", "schema = 2", "", "schema is 2, this version of zoo reads schema 1"),
        ("schema = 1", "", "", "schema is None"),
        ("schema = 1", "schema =", "", "not valid TOML"),
        ('"v1.1"]', '"v1.1"]\ndefault = true', MODEL, "more than one default weights: toy, v1.1"),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    text = str(caught.value)
    assert text.startswith(f"{path}, {where}: " if where else f"{path}: ")
    assert message in text
    assert "\n" not in text


BAD_WEIGHTS = b'{"schema": 1, "models": {"net": {"architecture": "a", "weights": {"w": 3}}}}'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"\xff\xfe", "not valid TOML"),
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[]", "the top level must be a table"),
        ("a.json", b'{"schema": 1, "models": []}', "models must be tables"),
        ("a.json", b'{"schema": 1, "models": {"net": 3}}', "[models.net]: Expected"),
        ("a.json", BAD_WEIGHTS, "[models.net.weights.w]: Expected"),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"a\.(toml|json)") as caught:
        read_manifest(path)
    assert message in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"cannot be read: No such file or directory\."):
        read_manifest(tmp_path / "none.toml")
    with pytest.raises(ManifestError, match="cannot be read: Is a directory"):
        read_manifest(tmp_path)
