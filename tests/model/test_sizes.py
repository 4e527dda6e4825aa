"""`img_size` of every model: what follows it, and what is refused before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.pictures import colours
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Architecture, Stage
from zoo_core.model.sizes import sides_of

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(*size: int) -> Tensor:
    return torch.randn(2, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "googlenet", "inception_v3", "resnet18", "efficientnet_lite0"),
        *("timm/test_convnext", "timm/test_vit"),
    ],
)
def test_pictures_of_another_size(name: str) -> None:
    model = zoo.create(name, num_classes=3, img_size=(96, 128)).eval()
    assert model.input.size == (3, 96, 128)
    assert model.origin.config == {"img_size": [96, 128]}
    seen = model.transform()(Image.new("RGB", (300, 200)))
    assert seen.shape == (3, 96, 128)
    with torch.no_grad():
        assert model(seen[None]).shape == (1, 3)


@pytest.mark.parametrize("size", [64, np.int64(64), (64, 64), [64, 64]], ids=repr)
def test_a_square_is_one_number(size: Any) -> None:
    model = zoo.create("resnet18", img_size=size)
    assert model.origin.config == {"img_size": 64} and model.input.size == (3, 64, 64)


def test_without_a_size_it_is_the_weights_own() -> None:
    assert zoo.create("resnet18", img_size=None).origin.config == {}


def test_the_weights_are_the_same_and_so_is_what_they_do() -> None:
    own = zoo.create("efficientnet_lite0", pretrained=True).eval()
    other = zoo.create("efficientnet_lite0", pretrained=True, img_size=96).eval()
    assert all(torch.equal(t, own.state_dict()[name]) for name, t in other.state_dict().items())
    x = pictures(3, 96, 96)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("lenet5", 48, "lenet5 cannot take pictures of 48x48: .* It takes 32x32"),
        ("lenet5", 28, "of 28x28: .* It takes 32x32"),
        ("lenet5", 256, "of 256x256: .* It takes 32x32"),
        ("alexnet", 40, "of 40x40: .* It takes 63x63"),
        ("alexnet", (40, 300), "of 40x300: .* It takes 63x3"),
        ("inception_v3", 70, "of 70x70: .* It takes 75x75"),
        ("timm/test_vit", 50, "of 50x50: .* It takes 32x32 and 64x64"),
        ("timm/test_vit", 20, "of 20x20: .* It takes 32x32"),
    ],
)
def test_a_size_that_does_not_go_through(name: str, size: Any, told: str) -> None:
    with pytest.raises(zoo.ZooError, match=told) as caught:
        zoo.create(name, img_size=size)
    assert "\n" not in str(caught.value)


def test_it_is_refused_before_weights_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")  # alexnet's are not here
    with pytest.raises(zoo.ZooError, match="cannot take pictures of 5x5"):
        zoo.create("alexnet", pretrained=True, img_size=5)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        *[
            (size, "must be one number, or height and width")
            for size in ("tiny", 0, -3, 64.5, True, (1, 2, 3), [], [64, "a"], {"a": 1}, (64, True))
        ],
        (99_999, "4,096 at most, not 99,999"),
        ([64, 10**30], "4,096 at most"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["resnet18", "timm/test_vit"])
def test_what_is_no_size(name: str, size: Any, told: str) -> None:
    with pytest.raises(zoo.ZooError, match=told):
        zoo.create(name, img_size=size)
    with pytest.raises(zoo.ZooError, match=told):
        sides_of(size)


@pytest.mark.parametrize("word", ["size", "image_size", "imgsize", "input_size"])
def test_other_words_for_it(word: str) -> None:
    with pytest.raises(zoo.UnknownName, match='Closest: "img_size"'):
        zoo.create("resnet18", **{word: 64})


# --- what follows it -----------------------------------------------------------------------------


def tuned(tmp_path: Path, **given: Any) -> Any:
    data = tmp_path / "data"
    if not data.exists():
        colours(data, {"red": (200, 0, 0), "blue": (0, 0, 200)})
    plain = {"epochs": 1, "batch_size": 4, "freeze_until": "head", "progress": False, "seed": 0}
    return zoo.finetune("efficientnet_lite0", f"folder:{data}", **plain | given)


def test_a_run_and_all_that_comes_of_it(tmp_path: Path) -> None:
    run = tuned(tmp_path, config={"img_size": [64, 96]}, out=tmp_path / "run")
    again = zoo.create(tmp_path / "run").eval()
    assert again.input.size == (3, 64, 96) and again.origin.config == {"img_size": [64, 96]}
    x = pictures(3, 64, 96)
    with torch.no_grad():
        expected = run.model.eval()(x)
        assert torch.equal(again(x), expected)

    again.save_pretrained(tmp_path / "saved")
    saved = zoo.create(tmp_path / "saved").eval()
    assert saved.input == again.input
    with torch.no_grad():
        assert torch.equal(saved(x), expected)

    picture = next((tmp_path / "data").rglob("*.png"))
    (guess,) = zoo.predict(saved, picture)
    assert guess["label"] in ("red", "blue")
    measured = zoo.evaluate(saved, f"folder:{tmp_path / 'data'}", progress=False)
    assert 0 <= measured["accuracy"] <= 1


def test_timm_reads_what_was_saved_of_a_network_that_is_built_for_no_size(tmp_path: Path) -> None:
    import timm

    model = zoo.create("efficientnet_lite0", pretrained=True, num_classes=3, img_size=96).eval()
    model.save_pretrained(tmp_path / "saved")
    other = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).eval()
    assert other.pretrained_cfg["input_size"] == (3, 96, 96)
    with torch.no_grad():
        assert torch.equal(other(pictures(3, 96, 96)), model(pictures(3, 96, 96)))


@pytest.mark.slow
def test_an_export_has_the_size(tmp_path: Path) -> None:
    model = zoo.create("efficientnet_lite0", pretrained=True, num_classes=3, img_size=96)
    zoo.export(model, tmp_path / "net.pt2")
    program = torch.export.load(tmp_path / "net.pt2")
    (placeholder,) = [spec for spec in program.graph_signature.user_inputs if isinstance(spec, str)]
    node = next(node for node in program.graph.nodes if node.name == placeholder)
    assert tuple(node.meta["val"].shape[1:]) == (3, 96, 96)


def test_the_cache_tells_sizes_apart(tmp_path: Path) -> None:
    heads = {}
    for side in (64, 96):
        for cache in (True, False):
            run = tuned(tmp_path, config={"img_size": side}, cache=cache, out=False)
            heads[side, cache] = run.model.get_parameter("classifier.weight")
    assert torch.equal(heads[64, True], heads[64, False])
    assert torch.equal(heads[96, True], heads[96, False])
    assert not torch.equal(heads[64, True], heads[96, True])


def test_features_have_the_size() -> None:
    body = zoo.create("efficientnet_lite0", features_only=True, img_size=64)
    assert [tuple(m.shape[2:]) for m in body(pictures(3, 64, 64))][-1] == (2, 2)
    assert body.pretrained_cfg["input_size"] == (3, 64, 64)


# --- a third party's network ---------------------------------------------------------------------


class Looking(nn.Module):
    """A network that looks at values, which the meta device has not."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(in_chans, 4, 9), nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(steps(self, x))


def steps(model: Any, x: Tensor) -> Tensor:
    if float(x.abs().max()) > 1e9:
        x = x / 2
    return model.body(x).mean((2, 3))


def test_a_network_that_looks_at_values_is_tried_with_some(offer: Any) -> None:
    def build(*, num_classes: int, in_chans: int) -> nn.Module:
        return Looking(num_classes, in_chans)

    stages = [Stage("body", run=(steps,), owns=("body",)), Stage("head", run=("head",))]
    offer('[models.looking]\narchitecture = "l"\n', Architecture("l", build, lambda model: stages))
    assert zoo.create("looking", img_size=16).input.size == (3, 16, 16)
    with pytest.raises(zoo.ZooError, match=r"looking cannot take pictures of 5x5: .* takes 9x9"):
        zoo.create("looking", img_size=5)
