"""What names, paths and arguments mean to create(), and what it says of those that mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.twins import BUNDLED, assert_equal, twin

import zoo_core as zoo

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model"),
    [("resnet", "resnet50"), ("lenet", "lenet5"), ("zoo-core:lenet5", "lenet5")],
)
def test_a_bare_name_brings_no_weights(name, model):
    created = zoo.create(name, num_classes=2)
    assert (created.info.name, created.origin.weights, created.labels) == (model, None, None)


@pytest.mark.parametrize(
    ("name", "pretrained", "weights"),
    [
        ("lenet5.mnist5k", None, "mnist5k"),
        ("lenet5.fashion_mnist", None, "fashion_mnist"),
        ("zoo-core:lenet5.fashion_mnist", None, "fashion_mnist"),
        ("lenet.mnist5k", None, "mnist5k"),
        ("lenet5", True, "mnist5k"),
        ("lenet5.fashion_mnist", True, "fashion_mnist"),
        ("lenet5.fashion_mnist", "mnist5k", "mnist5k"),
        ("lenet5", "fashion_mnist", "fashion_mnist"),
        ("lenet5", "pkg://zoo_lenet/weights/lenet5.mnist5k.safetensors", "mnist5k"),
        ("lenet5", False, None),
        ("lenet5.mnist5k", False, None),
    ],
)
def test_which_weights_a_name_brings(name, pretrained, weights):
    model = zoo.create(name, pretrained=pretrained)
    assert model.origin.weights == weights
    if weights is not None:
        named = zoo.info("lenet5").weights[weights]
        path = BUNDLED.with_name(f"lenet5.{weights}.safetensors")
        assert_equal(model, twin("lenet5", path), 1, 32)
        assert (model.labels, model.input) == (named.labels, named.input)
        assert model.origin.sha256 == named.sha256
        again = zoo.create(model.origin.reference, pretrained=model.origin.weights)
        assert_equal(again, model, 1, 32)


@pytest.mark.parametrize(
    "pretrained",
    ["./x.safetensors", "x.safetensors", "~/x.safetensors", "file:x.safetensors", "~", "folder/",
     "./folder", Path("folder"), Path("~/x.safetensors"), "file:~/x.safetensors", "../{}/folder"],
)  # fmt: skip
def test_weights_by_path(tmp_path, monkeypatch, pretrained):
    (tmp_path / "folder").mkdir()
    for place in ("x.safetensors", "model.safetensors", "folder/model.safetensors"):
        (tmp_path / place).write_bytes(BUNDLED.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if isinstance(pretrained, str):
        pretrained = pretrained.format(tmp_path.name)
    model = zoo.create("lenet5", pretrained=pretrained)
    assert_equal(model, twin("lenet5", BUNDLED), 1, 32)
    assert model.labels is None and model.input == zoo.info("lenet5").input
    monkeypatch.chdir("/")
    if not str(pretrained).startswith("file:"):  # a path is remembered in full
        zoo.create(model.origin.reference, pretrained=model.origin.weights)


def test_a_path_is_a_run(tmp_path, monkeypatch):
    model = zoo.create("lenet5")  # the run then holds all of it, and nothing is drawn for nothing
    run = zoo.finetune(model, "digits#test", epochs=1, out=tmp_path / "r", progress=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = torch.get_rng_state()
    for path in (tmp_path / "r", str(tmp_path / "r"), "./r", "~/r", Path("r")):
        assert_equal(zoo.create(path), run.model, 1, 32)
    assert torch.equal(torch.get_rng_state(), before)
    model = zoo.create("./r", num_classes=3, dtype="bfloat16", freeze_until="fc1", device="cpu")
    assert model.num_outputs == 3 and model.head.weight.dtype == torch.bfloat16 and model.frozen
    for given in ({"in_chans": 3}, {"pretrained": False}, {"pretrained": "mnist5k"}, {"width": 3}):
        with pytest.raises(zoo.ZooError, match="brings its weights, configuration and channels"):
            zoo.create("./r", **given)
    with pytest.raises(
        zoo.WeightsError, match=r"r is a run, not weights alone\. Use create\("
    ) as e:
        zoo.create("lenet5", pretrained="./r")
    assert "Use create" in e.value.hint


# --- what is refused -----------------------------------------------------------------------------

UNKNOWN, WEIGHTS, SOURCE = zoo.UnknownName, zoo.WeightsError, zoo.SourceError
REFUSED: list[tuple[Any, dict[str, Any], type[zoo.ZooError], str]] = [
    # names
    ("resnet81", {}, UNKNOWN, 'No model "resnet81". Closest: "resnet18"'),
    ("ResNet50", {}, UNKNOWN, 'Closest: "resnet50"'),
    ("", {}, UNKNOWN, 'No model "". Run "zoo list" for all models.'),
    ("lenet5.", {}, UNKNOWN, 'lenet5 has no weights "".'),
    ("lenet5.mnist", {}, UNKNOWN, 'has no weights "mnist". Closest: "mnist5k"'),
    ("lenet5.mnist5k.x", {}, UNKNOWN, 'has no weights "mnist5k.x"'),
    ("zoo-cor:lenet5", {}, UNKNOWN, 'Closest: "zoo-core:lenet5"'),
    ("./nowhere", {}, UNKNOWN, "Nothing is at nowhere. A name without ./ or / is a model's."),
    (Path("lenet5"), {}, UNKNOWN, "Nothing is at lenet5."),
    ("~nobody-here/x", {}, UNKNOWN, "Nothing can be at ~nobody-here/x"),
    ("/" + "x" * 5000, {}, UNKNOWN, "File name too long."),
    ("/a\0b", {}, UNKNOWN, "Nothing is at"),
    (str(BUNDLED), {}, WEIGHTS, f'create("resnet50", pretrained="{BUNDLED}")'),
    (BUNDLED.parent, {}, WEIGHTS, "is no run: it has no recipe.toml"),
    (None, {}, zoo.ZooError, "a model's name or a path, not a NoneType"),
    (5, {}, zoo.ZooError, "a model's name or a path, not a int"),
    (b"lenet5", {}, zoo.ZooError, "a model's name or a path, not a bytes"),
    # weights
    ("lenet5", {"pretrained": "mnist"}, UNKNOWN, 'Closest: "mnist5k", "fashion_mnist"'),
    ("lenet5", {"pretrained": ""}, UNKNOWN, "It has: mnist5k, fashion_mnist."),
    ("lenet5", {"pretrained": "no/such.safetensors"}, SOURCE, "No file at /"),
    ("lenet5", {"pretrained": "./no"}, SOURCE, "Check the path"),
    ("lenet5", {"pretrained": "file:no"}, SOURCE, "No file at no."),
    ("lenet5", {"pretrained": "file:~nobody-here/x"}, SOURCE, "No file at ~nobody-here/x"),
    ("lenet5", {"pretrained": "~nobody-here/x"}, UNKNOWN, "Nothing can be at ~nobody-here/x"),
    ("lenet5", {"pretrained": "/" + "x" * 5000}, UNKNOWN, "File name too long."),
    ("lenet5", {"pretrained": "/dev/null"}, SOURCE, "No file at /dev/null"),
    ("lenet5", {"pretrained": "ftp://a/b"}, SOURCE, 'No installed plugin fetches from "ftp:"'),
    ("lenet5", {"pretrained": {"conv1.weight": 1}}, zoo.ZooError, "not a dict. For a state dict"),
    ("lenet5", {"pretrained": 1}, zoo.ZooError, "a tag, a reference or a path, not a int"),
    # counts
    ("lenet5", {"num_classes": -1}, zoo.ZooError, "num_classes must be a whole number, 0 or more"),
    ("lenet5", {"num_classes": "3"}, zoo.ZooError, "0 or more: '3'"),
    ("lenet5", {"num_classes": True}, zoo.ZooError, "0 or more: True"),
    ("lenet5", {"num_classes": 1.5}, zoo.ZooError, "0 or more: 1.5"),
    ("lenet5", {"in_chans": 0}, zoo.ZooError, "in_chans must be a whole number, 1 or more: 0"),
    ("lenet5", {"in_chans": 3.0}, zoo.ZooError, "1 or more: 3.0"),
    # types and devices
    ("lenet5", {"dtype": "int8"}, zoo.ZooError, "one of float32, float16, bfloat16, float64"),
    ("lenet5", {"dtype": "float99"}, zoo.ZooError, 'not \'float99\'. Closest: "float64"'),
    ("lenet5", {"dtype": torch.int8}, zoo.ZooError, "not torch.int8"),
    ("lenet5", {"dtype": "float8_e4m3fn"}, zoo.ZooError, "not 'float8_e4m3fn'"),
    ("lenet5", {"dtype": float}, zoo.ZooError, "not <class 'float'>"),
    ("lenet5", {"dtype": "tensor"}, zoo.ZooError, "not 'tensor'"),
    ("lenet5", {"device": "gpu"}, zoo.ZooError, "No device 'gpu' here: Expected one of cpu, cuda"),
    ("lenet5", {"device": "cuda:77"}, zoo.ZooError, "No device 'cuda:77' here"),
    ("lenet5", {"device": ""}, zoo.ZooError, '"zoo doctor" says what is here'),
    ("lenet5", {"device": "privateuseone"}, zoo.ZooError, "No device 'privateuseone' here"),
    ("lenet5", {"device": "meta"}, zoo.ZooError, "on the meta device has no values"),
    # layers
    ("lenet5", {"freeze_until": "heed"}, UNKNOWN, 'Closest: "head"'),
    ("lenet5", {"freeze_until": "conv1"}, zoo.FreezeError, "conv2 fc1 fc2 head"),
    ("lenet5", {"freeze_until": True}, zoo.ZooError, "the name of a stage or layer, not True"),
    # options
    ("lenet5", {"width": 3}, UNKNOWN, 'lenet5 has no option "width". It has: drop_rate.'),
    ("resnet18", {"drop_rte": 0.1}, UNKNOWN, 'Closest: "drop_rate"'),
    ("resnet18", {"drop_rte": 0.1}, UNKNOWN, "It has: drop_rate, drop_path_rate, global_"),
    ("resnet50", {"drop_rte": 0.1, "pretrained": True}, UNKNOWN, 'Closest: "drop_rate"'),
    ("resnet18", {"drop_rate": "0.5"}, zoo.ZooError, "resnet18 wants float, not '0.5'"),
    ("resnet18", {"drop_rate": True}, zoo.ZooError, "drop_rate of resnet18 wants float, not True"),
    ("resnet18", {"drop_rate": 5}, zoo.ZooError, "drop_rate must be in [0, 1): 5"),
    ("resnet18", {"drop_path_rate": -1}, zoo.ZooError, "drop_path_rate must be in [0, 1): -1"),
    ("resnet18", {"variant": "resnet50"}, zoo.ZooError, "would make another model"),
    ("googlenet", {"naive": "yes"}, zoo.ZooError, "naive of googlenet wants bool, not 'yes'"),
    ("alexnet", {"dropout": 2}, zoo.ZooError, "has to be between 0 and 1, but got 2"),
    ("inception_v3", {"drop_rate": -0.1}, zoo.ZooError, "has to be between 0 and 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    REFUSED,
    ids=[f"{str(name)[:20]!r}, {str(given)[:40]}" for name, given, *_ in REFUSED],
)
def test_it_says_what_is_wrong_and_what_would_be_right(name, given, error, message):
    with pytest.raises(error) as caught:
        zoo.create(name, **given)
    assert message in str(caught.value)
    assert str(caught.value)[0] != " " and "  " not in str(caught.value)


def test_whole_numbers_of_numpy_and_torch_are_whole_numbers():
    model = zoo.create("lenet5", num_classes=np.int64(3), in_chans=torch.tensor(2))
    assert (model.num_outputs, model.input.size) == (3, (2, 32, 32))


@pytest.mark.parametrize("dtype", ["half", "torch.float16", torch.float16])
def test_names_of_types(dtype):
    assert zoo.create("lenet5", pretrained=True, dtype=dtype).head.weight.dtype == torch.float16


def test_weights_that_are_not_here_are_one_error_offline():
    for reference in ("hf://timm/none/model.safetensors", "https://localhost/x.safetensors"):
        with pytest.raises(zoo.WeightsError, match=r"zoo fetch|needs a source|not in the cache"):
            zoo.create("lenet5", pretrained=reference)
    with pytest.raises(zoo.WeightsError, match=r"zoo fetch|needs a source|not in the cache"):
        zoo.create("resnet50.a1_in1k")
