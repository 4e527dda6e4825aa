"""The pixels of every set of weights of timm are timm's, and so is what a model says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hub.server import HubServer
from PIL import Image
from support.fetching import own_places, safetensors
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg

import zoo_core as zoo
from zoo_core.data.transforms import build_transform
from zoo_core.types import InputSpec, WeightsInfo

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [(300, 500), (523, 301), (41, 33)]  # of pictures: wide, high, smaller than any crop


def every_set() -> Iterator[tuple[str, WeightsInfo, dict[str, Any]]]:
    """timm's name and facts of all weights of its networks in the zoo."""
    for model in [*zoo.list_models(), *zoo.list_models("timm/*")]:
        info = zoo.info(model)
        if "variant" in info.config:
            for tag, weights in info.weights.items():
                name = f"{info.config['variant']}.{tag}"
                cfg = get_pretrained_cfg(name)
                assert cfg is not None, name
                yield name, weights, cfg.to_dict()


def configurations() -> dict[tuple[InputSpec, str], tuple[str, dict[str, Any]]]:
    """Every different way to prepare pictures, for the sizes of training and of evaluation.

    What zoo says of it, and timm's; and the name of one set of weights that wants it.
    """
    found = {}
    for name, weights, cfg in every_set():
        for evaluation in (False, True):
            theirs = resolve_data_config(pretrained_cfg=cfg, use_test_size=evaluation)
            ours = weights.input
            if evaluation:
                ours = replace(ours, size=theirs["input_size"], crop=theirs["crop_pct"])
            found.setdefault((ours, repr(sorted(theirs.items()))), (name, theirs))
    return found


def noise(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def test_the_pixels_of_every_set_are_timms() -> None:
    pictures = [noise(size) for size in SIZES]
    found = configurations()
    assert len(found) > 150
    assert {spec.crop_mode for spec, _ in found} == {"center", "squash", "border"}
    assert any(spec.crop > 1 for spec, _ in found)
    for (spec, _), (name, cfg) in found.items():
        ours, theirs = build_transform(spec), create_transform(**cfg)
        for picture in pictures:
            assert torch.equal(ours(picture), theirs(picture)), (name, spec, picture.size)


# --- what a model says that it was loaded from ---------------------------------------------------


def seeded(hub: HubServer, name: str, **config: Any) -> None:
    """A repository of timm's with weights that nobody trained."""
    theirs = timm.create_model(name.partition(".")[0], **config)
    hub.seed(f"timm/{name}", {"model.safetensors": safetensors(theirs.state_dict())})


def prepares(model: Any, **how: Any) -> Any:
    return create_transform(**resolve_data_config(model=model, **how))


@pytest.mark.parametrize(
    "name", ["timm/test_vit.r160_in1k", "timm/test_vit2.r160_in1k", "timm/test_convnext.r160_in1k"]
)
def test_timms_own_way_to_a_transform_is_that_of_the_loaded_weights(
    hub: HubServer, own_places: Any, name: str
) -> None:
    bare = name.removeprefix("timm/")
    seeded(hub, bare)
    model, cfg = zoo.create(name), get_pretrained_cfg(bare)
    assert cfg is not None
    assert model.pretrained_cfg == model.default_cfg
    told = dict(model.pretrained_cfg)
    assert told.pop("source") == "hf-hub" and told.pop("label_names") == model.labels
    assert told == cfg.to_dict()
    assert torch.equal(prepares(model)(noise((90, 70))), model.transform()(noise((90, 70))))


def test_another_tag_than_timms_default(hub: HubServer, own_places: Any) -> None:
    """resnet18 has a1_in1k by default; this one wants other pictures."""
    name = "resnet18.tv_in1k"
    seeded(hub, name)
    model = zoo.create("resnet18", pretrained=_unpinned(name), num_classes=3)
    told = resolve_data_config(model=model)
    assert (told["interpolation"], told["crop_pct"]) == ("bilinear", 0.875)
    assert model.pretrained_cfg["tag"] == "tv_in1k"
    assert model.pretrained_cfg["hf_hub_id"] == f"timm/{name}"
    assert model.pretrained_cfg["num_classes"] == 1000  # of what was loaded, as timm has it
    assert timm.create_model("resnet18").pretrained_cfg["tag"] == "a1_in1k"


def _unpinned(name: str) -> str:
    return f"hf://timm/{name}/model.safetensors"


def test_other_channels_and_sizes_are_those_of_the_model() -> None:
    model = zoo.create("timm/test_vit", img_size=96, in_chans=1)
    told = resolve_data_config(model=model)
    assert (told["input_size"], told["mean"], told["std"]) == ((1, 96, 96), (0.5,), (0.5,))
    assert zoo.create("resnet18", in_chans=1).pretrained_cfg["test_input_size"] == (1, 288, 288)


def test_crops_of_timm_go_there_and_back(hub: HubServer, own_places: Any, signed_in: str) -> None:
    """Squashed pictures: by config.json, by timm's part of it, and by a folder."""
    torch.manual_seed(0)
    model = zoo.create("timm/test_convnext", num_classes=2)
    model.labels = ("cat", "dog")
    model.input = replace(model.input, crop_mode="squash", crop=1.15)
    folder = model.save_pretrained(own_places / "saved")
    zoo.push(model, "alice/pets", license="apache-2.0")
    theirs = timm.create_model("hf-hub:alice/pets", pretrained=True)
    picture = noise((300, 500))
    pixels = model.transform()(picture)
    assert torch.equal(prepares(theirs)(picture), pixels)
    for again in (zoo.create(folder), zoo.create("hf://alice/pets")):
        assert again.input == model.input
        assert torch.equal(prepares(again)(picture), pixels)
        told = again.pretrained_cfg
        assert (told["tag"], told["num_classes"], told["label_names"]) == ("", 2, ("cat", "dog"))
    assert told["hf_hub_id"] == "alice/pets"


def test_timms_part_alone_says_how_pictures_are_cropped(own_places: Any) -> None:
    theirs = timm.create_model(
        "test_convnext", num_classes=2, pretrained_cfg_overlay={"crop_mode": "border"}
    )
    timm.models.save_for_hf(theirs, own_places / "theirs", safe_serialization=True)
    model = zoo.create(own_places / "theirs")
    assert model.input.crop_mode == "border"
    assert torch.equal(prepares(model)(noise((90, 70))), prepares(theirs)(noise((90, 70))))
