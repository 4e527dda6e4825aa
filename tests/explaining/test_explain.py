"""explain() beside hooks on the modules, on every kind of network; and what cannot be explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.in_process import run
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.explaining import explanation
from zoo_core.explaining.explain import NEW_HEAD, NOISE, NOWHERE
from zoo_core.explaining.explanation import html


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((240, 180))


def by_hooks(model: nn.Module, layer: str, x: Tensor, index: int) -> Tensor:
    """The same by the network's own forward, with a hook: (H, W), the largest 1."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = model.get_submodule(layer).register_forward_hook(keep)
    with torch.enable_grad():
        model(x.clone().requires_grad_())[0, index].backward()
    handle.remove()
    [values] = kept
    assert values.grad is not None
    heat = (values.grad.mean((2, 3), keepdim=True) * values).sum(1)[0].relu().detach()
    return heat / heat.max() if heat.max() > 0 else heat


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("efficientnet_lite0", "bn2"),
        ("resnet18", "layer4"),
        ("googlenet", "inception5b"),
        ("inception_v3", "Mixed_7c"),
        ("alexnet", "features"),
        ("timm/test_convnext", "stages.3"),
        ("timm/densenet121", "features"),
    ],
)
def test_the_map_is_that_of_hooks_on_the_network(name: str, layer: str, picture: Any) -> None:
    torch.manual_seed(0)
    model = zoo.create(name, pretrained=name == "efficientnet_lite0")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.freeze_until("head").train()
    found = zoo.explain(model, picture)
    assert model.training and found.stage == "pool" and float(found.map.max()) == 1
    assert all(torch.equal(before[key], t) for key, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    twin = zoo.create(name)
    twin.load_state_dict(before)
    expected = by_hooks(twin.eval(), layer, model.transform()(picture)[None], found.index)
    torch.testing.assert_close(found.map, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("efficientnet_lite0", "bn2"), ("resnet18", "layer4"), ("timm/test_convnext", "stages.3")],
)
def test_the_map_is_that_of_pytorch_grad_cam(name: str, layer: str, picture: Any) -> None:
    others = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    torch.manual_seed(0)
    model = zoo.create(name, pretrained=name == "efficientnet_lite0").eval()
    found = zoo.explain(model, picture)
    x, module = model.transform()(picture)[None], model.get_submodule(layer)
    with others.GradCAM(model=model, target_layers=[module]) as cam:
        wanted = [targets.ClassifierOutputTarget(found.index)]
        cam(input_tensor=x, targets=wanted)
        hooked = cam.activations_and_grads
        values, slopes = hooked.activations[0].numpy(), hooked.gradients[0].numpy()
        heat = cam.get_cam_image(x, module, wanted, values, slopes, False)[0].clip(0)
    expected = torch.as_tensor(heat / heat.max())
    torch.testing.assert_close(found.map, expected, rtol=1e-4, atol=1e-5)


def test_the_likeliest_class_is_that_of_predict(picture: Any) -> None:
    found = zoo.explain("efficientnet_lite0", picture)
    [told] = zoo.predict("efficientnet_lite0", picture, progress=False)
    assert (found.label, found.probability) == (told["label"], pytest.approx(told["probability"]))
    assert float(found.map.max()) == 1 and found.map.shape == (7, 7) and not found.notes
    other = zoo.explain("efficientnet_lite0", picture, label="beaver")
    assert other.index == 337 and not torch.equal(other.map, found.map)


@pytest.mark.parametrize(
    ("name", "size", "stage"),
    [
        ("timm/test_vit", (10, 10), "block6"),  # behind it the class token has drawn all it takes
        ("timm/swin_tiny_patch4_window7_224", (7, 7), "pool"),  # channels last
        ("timm/naflexvit_base_patch16_gap", (24, 24), "pool"),
    ],
)
def test_tokens_and_channels_last(name: str, size: Any, stage: str, picture: Any) -> None:
    torch.manual_seed(0)
    found = zoo.explain(zoo.create(name), picture)
    assert (tuple(found.map.shape), found.stage) == (size, stage)
    assert float(found.map.max()) == 1 and found.notes == [NOISE]


@pytest.mark.parametrize(
    "name",
    [
        "timm/convit_tiny",
        "timm/xcit_nano_12_p16_224",
        "timm/pit_ti_224",  # whose class token is all that there is
    ],
)
def test_networks_of_which_only_a_class_token_comes_out_are_refused(
    name: str, picture: Any
) -> None:
    with pytest.raises(zoo.ZooError, match="nowhere to look"):
        zoo.explain(zoo.create(name), picture)


def test_places_behind_the_last_word_of_a_class_token(picture: Any) -> None:
    with pytest.raises(zoo.ZooError, match="hears nothing") as caught:
        zoo.explain(zoo.create("timm/test_vit"), picture, stage="pool")
    assert "block6" in str(caught.value)


def test_a_head_of_zeros_is_not_refused(picture: Any) -> None:
    found = zoo.explain(zoo.create("timm/mixer_s32_224"), picture)
    assert found.notes == [NOISE, NOWHERE] and not found.map.any()


@pytest.mark.parametrize("tensor", [False, True])
def test_in_inference_mode(tensor: bool, picture: Any) -> None:
    model = zoo.create("lenet5", pretrained=True)
    grey = picture.convert("L")
    outside = zoo.explain(model, grey)
    with torch.inference_mode():
        given = model.transform()(grey) if tensor else grey
        inside = [zoo.explain(known, given) for known in (model, "lenet5")]
        assert torch.is_inference_mode_enabled()
        made_there = zoo.create("lenet5")
    assert all(torch.equal(one.map, outside.map) for one in inside)
    with pytest.raises(zoo.ZooError, match="inference_mode") as caught:
        zoo.explain(made_there, grey)
    assert "outside" in caught.value.hint


def test_another_boundary(picture: Any) -> None:
    found = zoo.explain(zoo.create("resnet18"), picture, stage="layer4")
    assert found.stage == "layer4" and found.map.shape == (14, 14)


def test_it_looks_where_a_stroke_is() -> None:
    """More to the left for a one in the left half of a picture than for one in the right."""
    shares = []
    for left in (4, 22):
        digit = Image.new("L", (28, 28))
        digit.paste(255, (left, 4, left + 3, 24))
        looked = zoo.explain("lenet5", digit, label="1", stage="conv2").map
        shares.append(float(looked[:, :7].sum() / looked.sum()))
    assert shares[0] > shares[1] + 0.1


def test_half_precision_and_a_run(picture: Any, tmp_path: Path) -> None:
    half = zoo.create("efficientnet_lite0", pretrained=True, dtype="bfloat16")
    found = zoo.explain(half, picture, label="beaver")
    full = zoo.explain("efficientnet_lite0", picture, label="beaver")
    assert found.map.dtype == torch.float32
    torch.testing.assert_close(found.map, full.map, rtol=0.2, atol=0.2)
    tuned = zoo.finetune("lenet5", "digits#test", epochs=1, freeze_until="head",
                         out=tmp_path / "run", progress=False)  # fmt: skip
    grey = picture.convert("L")
    assert torch.equal(zoo.explain(tuned, grey).map, zoo.explain(tuned.path, grey).map)


def test_pictures_of_it(picture: Any, tmp_path: Path) -> None:
    found = zoo.explain("efficientnet_lite0", picture)
    assert found.picture.size == (224, 224) and found.overlay().size == (224, 224)
    grey = zoo.explain("lenet5", picture.convert("L"))
    assert grey.picture.size == (32, 32) and grey.overlay().size == (224, 224)
    with Image.open(found.save(tmp_path / "a.png")) as saved:
        assert saved.size == (224, 224)
    page = found.save(tmp_path / "a.html").read_text()
    assert "<script" not in page and found.label in page and found._repr_html_().count("<img") == 2
    with pytest.raises(zoo.ZooError, match="cannot be written"):
        found.save(tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize(
    ("ending", "encoding"),
    [("png", "PNG"), ("JPG", "JPEG"), ("gif", "GIF"), ("webp", "WEBP"), ("tif", "TIFF")],
)
def test_a_file_is_what_its_ending_says(
    ending: str, encoding: str, picture: Any, tmp_path: Path
) -> None:
    found = zoo.explain("lenet5", picture.convert("L"))
    with Image.open(found.save(tmp_path / f"a.{ending}")) as saved:
        assert (saved.format, saved.size) == (encoding, (224, 224))


@pytest.mark.parametrize("name", ["a.txt", "a", "a.xbm", "a.hdf"])
def test_other_endings_are_refused(name: str, picture: Any, tmp_path: Path) -> None:
    with pytest.raises(zoo.ZooError, match=r"\.png|cannot be written"):
        zoo.explain("lenet5", picture.convert("L")).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_explanations_can_be_compared_and_kept_in_a_set(picture: Any) -> None:
    one, other = (zoo.explain("lenet5", picture.convert("L")) for _ in range(2))
    assert one == one and one != other and len({one, other}) == 2


def test_a_class_by_one_of_its_names(picture: Any) -> None:
    model = zoo.create("lenet5", num_classes=4, labels=["tabby, Tabby cat", "tray", "a, x", "b, x"])
    grey = picture.convert("L")
    for label in ("tabby", "TABBY CAT", "tabby, tabby cat"):
        assert zoo.explain(model, grey, label=label).index == 0
    for label, told in (
        ("x", 'several classes "x". Closest: "a, x", "b, x".'),
        ("tab", 'Closest: "tabby, Tabby cat".'),
        ("4", "Its classes are 0 to 3."),
        ("-1", "Its classes are 0 to 3."),
    ):
        with pytest.raises(zoo.DataError) as caught:
            zoo.explain(model, grey, label=label)
        assert told in str(caught.value)
    with pytest.raises(zoo.DataError, match="0 to 9"):
        zoo.explain("lenet5", grey, label=10)


def test_noise_is_called_noise(picture: Any) -> None:
    assert zoo.explain(zoo.create("resnet18"), picture).notes == [NOISE]
    headless = zoo.create("efficientnet_lite0", pretrained=True, num_classes=3)
    assert zoo.explain(headless, picture).notes == [NEW_HEAD]
    assert all("zoo knows of no training" in note for note in (NOISE, NEW_HEAD))  # others may


def test_what_cannot_be_explained(picture: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(zoo.DataError, match=r"broken\.png"):
        zoo.explain("lenet5", tmp_path / "broken.png")
    with pytest.raises(zoo.DataError, match="one picture, not 2"):
        zoo.explain("lenet5", [picture, picture])
    with pytest.raises(zoo.DataError, match='no class "beever"') as caught:
        zoo.explain("efficientnet_lite0", picture, label="beever")
    assert '"beaver"' in str(caught.value)
    with pytest.raises(zoo.DataError, match='no class "10"'):
        zoo.explain("lenet5", picture, label=10)
    with pytest.raises(zoo.UnknownName, match="layer9"):
        zoo.explain(zoo.create("resnet18"), picture, stage="layer9")
    for stage, why in (("conv1", "the picture itself"), ("head", "one row of numbers")):
        with pytest.raises(zoo.ZooError, match=why):
            zoo.explain("lenet5", picture, stage=stage)
    with pytest.raises(zoo.DataError, match="no classifier"):
        zoo.explain(zoo.create("resnet18", num_classes=0), picture)


def test_on_the_command_line(picture: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a <b>", "c"):
        picture.save(f"{name}.png")
    done = run("explain", "efficientnet_lite0", "a <b>.png", "c.png", "--label", "beaver")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in Path("explained").iterdir())
    assert files == ["001-a_b_.png", "002-c.png", "index.html"]
    page = Path("explained/index.html").read_text()
    assert "a &lt;b&gt;.png" in page and "<b>.png" not in page.replace("</b>", "")
    done = run("explain", "efficientnet_lite0", "c.png")
    assert done.returncode == 2 and "is not empty" in done.stderr
    done = run("explain", "lenet5", "c.png", "--json", "--out", "two")
    [row] = json.loads(done.stdout)
    assert row["stage"] == "fc1" and row["file"] == "001-c.png"
    (tmp_path / "empty").mkdir()
    done = run("explain", "lenet5", "empty", "--out", "three")
    assert done.returncode and not Path("three").exists() and "Traceback" not in done.stderr


def test_many_pictures_of_which_one_is_broken(
    picture: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explanation, "SHOWN", 2)
    for name in ("a/x.png", "b/x.png", "d/x.png"):
        Path(name).parent.mkdir()
        picture.save(name)
    Path("b/y.png").write_bytes(b"no picture")
    done = run("explain", "lenet5", "a", "b", "d", "--out", "one")
    assert done.returncode and "y.png" in done.stderr
    assert [path.name for path in sorted(Path("one").iterdir())] == ["001-x.png", "002-x.png"]
    done = run("explain", "lenet5", "a", "b", "d", "--out", "two", "--skip-unreadable")
    assert done.returncode == 0 and "Skipped 1 that cannot be read" in done.stderr
    assert "The first 2 of 3 are in" in done.stderr and Path("two/003-x.png").is_file()
    page = Path("two/index.html").read_text()
    assert "The first 2 of 3 pictures are shown." in page and page.count("<img") == 4
    assert "a/x.png" in page and "b/x.png" in page and "1 more could not be read" in page
    done = run("explain", "lenet5", "b/y.png", "--out", "three", "--skip-unreadable")
    assert done.returncode and "None of the 1 pictures" in done.stderr


def test_a_page_of_many_is_small(picture: Any) -> None:
    one = zoo.explain("efficientnet_lite0", picture)
    page = html([one] * 300)  # of noise, which is the largest that there is
    assert len(page) < 5_000_000 and "The first 200 of 300 pictures are shown." in page
