"""Weights without a classifier: of self-supervised training, or of a model made for features."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

import zoo_core as zoo

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def body_of(name: str, path: Path, **config: object) -> dict[str, torch.Tensor]:
    """Write the weights of a model without its classifier to a file, and return them."""
    state = zoo.create(name, num_classes=0, **config).state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"model": state}, path)
    return state


FAMILIES = (
    *("lenet5", "alexnet", "resnet18", "googlenet", "inception_v3"),
    *("timm/test_vit", "timm/test_convnext", "timm/levit_128s", "timm/volo_d1_224"),
)


@pytest.mark.parametrize(
    ("name", "ending"),
    [*((name, "safetensors") for name in FAMILIES), ("resnet18", "pth"), ("timm/test_vit", "pth")],
)
def test_they_give_features_or_take_a_new_head(name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"body.{ending}"
    state = body_of(name, path)
    features = zoo.create(name, pretrained=path, num_classes=0)
    assert features.num_outputs == features.origin.num_classes == 0
    assert features.state_dict().keys() == state.keys()
    model = zoo.create(name, pretrained=path, num_classes=5)
    assert (model.num_outputs, model.origin.new_head, model.origin.trained) == (5, True, True)
    own = model.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in state.items())


def test_with_nothing_said_of_classes_one_line_asks(tmp_path: Path) -> None:
    body_of("resnet18", tmp_path / "body.safetensors")
    with pytest.raises(zoo.WeightsError, match="has no classifier") as caught:
        zoo.create("resnet18", pretrained=tmp_path / "body.safetensors")
    assert "num_classes=0" in caught.value.hint and "\n" not in str(caught.value)


def test_what_lacks_more_than_its_classifier_is_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "body.safetensors"
    state = body_of("resnet18", path)
    save_file({n: t for n, t in state.items() if not n.startswith("layer4")}, path)
    with pytest.raises(zoo.WeightsError, match=r"lacks layer4\.0"):
        zoo.create("resnet18", pretrained=path, num_classes=0)
    save_file({"fc.bias": torch.zeros(1000), **state}, path)
    with pytest.raises(zoo.WeightsError, match=r"lacks fc\.weight"):
        zoo.create("resnet18", pretrained=path, num_classes=5)


def test_other_channels_go_with_it(tmp_path: Path) -> None:
    body_of("resnet18", tmp_path / "body.safetensors")
    path = tmp_path / "body.safetensors"
    model = zoo.create("resnet18", pretrained=path, in_chans=1, num_classes=2)
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 2)


def test_a_model_of_features_comes_back_from_its_folder_and_from_timm_s(tmp_path: Path) -> None:
    model = zoo.create("timm/test_vit", num_classes=0)
    zoo.save_pretrained(model, tmp_path / "zoo")
    assert zoo.create(tmp_path / "zoo").num_outputs == 0
    assert zoo.create(tmp_path / "zoo", num_classes=4).num_outputs == 4
    theirs = timm.create_model("test_vit", num_classes=0)
    save_for_hf(theirs, tmp_path / "timm", safe_serialization=True)
    assert zoo.create(tmp_path / "timm").num_outputs == 0
    assert zoo.create(tmp_path / "timm", num_classes=4).num_outputs == 4


# --- the pickle that folders had before safetensors ----------------------------------------------


def test_a_folder_with_a_pickle_alone_is_read_as_one(tmp_path: Path) -> None:
    theirs = timm.create_model("test_resnet", num_classes=3)
    save_for_hf(theirs, tmp_path)
    assert [path.name for path in tmp_path.glob("*model*")] == ["pytorch_model.bin"]
    for model in (
        zoo.create(tmp_path),
        zoo.create(f"file://{tmp_path}"),
        zoo.create("timm/test_resnet", pretrained=tmp_path),
        zoo.create("timm/test_resnet", pretrained=tmp_path / "pytorch_model.bin"),
    ):
        own = model.state_dict()
        assert all(torch.equal(own[name], t) for name, t in theirs.state_dict().items())
    tuned = zoo.create(tmp_path, num_classes=2)
    assert zoo.create(zoo.save_pretrained(tuned, tmp_path / "tuned", delta=True)).num_outputs == 2
    (tmp_path / "config.json").unlink()
    assert zoo.create("timm/test_resnet", pretrained=tmp_path).num_outputs == 3


def test_safetensors_come_first(tmp_path: Path) -> None:
    save_for_hf(timm.create_model("test_resnet"), tmp_path, safe_serialization="both")
    (tmp_path / "pytorch_model.bin").write_bytes(b"nothing")
    assert zoo.create(tmp_path).num_outputs == 1000


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path: Path, capsys) -> None:
    save_for_hf(timm.create_model("test_resnet"), tmp_path)
    torch.save({"fc.weight": Code()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(zoo.WeightsError, match=r"pytorch_model\.bin needs .*print"):
        zoo.create(tmp_path)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.pth", "open_clip_pytorch_model.bin"])
def test_weights_under_another_name_are_named(name: str, tmp_path: Path) -> None:
    save_for_hf(timm.create_model("test_resnet"), tmp_path)
    (tmp_path / "pytorch_model.bin").rename(tmp_path / name)
    with pytest.raises(zoo.WeightsError, match=name):
        zoo.create(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(zoo.ZooError) as caught:
        zoo.create(tmp_path)
    assert f'pretrained="{tmp_path}"' in caught.value.hint
    assert zoo.create("timm/test_resnet", pretrained=tmp_path).num_outputs == 1000


# --- what makes a model is no option of it -------------------------------------------------------


def test_a_variant_is_no_option() -> None:
    with pytest.raises(zoo.ZooError, match="variant='resnet50' would make another model"):
        zoo.create("resnet18", variant="resnet50")
    with pytest.raises(zoo.ZooError, match="would make another model"):
        zoo.create("timm/test_vit", variant="test_resnet")
    with pytest.raises(zoo.UnknownName) as caught:
        zoo.create("resnet18", widht=3)
    assert "variant" not in caught.value.hint
    with pytest.raises(zoo.UnknownName) as caught:
        zoo.create("resnet18", varient="resnet50")
    assert "variant" not in str(caught.value).replace("varient", "")
