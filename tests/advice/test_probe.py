"""The probe: bit for bit what enters each stage, whatever the network, each picture once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.model_fixtures import Offer
from support.pictures import colours
from support.toys import MANIFEST, centred, toy, with_noise
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.advice.probe import probe
from zoo_core.cache import using_cache
from zoo_core.chain import run_stages
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.model.boundaries import Pooling
from zoo_core.model.kept_parts import MeanPool
from zoo_core.model.pooled import poolings_of

quiet: dict[str, Any] = {"progress": False}


def plainly(model: zoo.ZooModel, pictures: Pictures, rows: int = 32) -> dict[str, Tensor]:
    """The plain twin: stage by stage in batches of as many rows, each boundary pooled."""
    network, transform = model.eval(), model.transform()
    like = next(model.parameters())
    x = torch.stack([transform(pictures.read(i)) for i in range(len(pictures))]).to(like.dtype)
    found: dict[str, list[Tensor]] = {}
    how = poolings_of(model)
    for batch in x.split(rows):
        part = torch.cat([batch, batch.new_zeros(rows - len(batch), *batch.shape[1:])])
        for stage in network.chain.values():
            pooling = how.get(stage.name)
            if isinstance(pooling, Pooling):
                pool = MeanPool(pooling.axes, pooling.skip) if pooling.axes else nn.Identity()
                found.setdefault(stage.name, []).append(pool(part)[: len(batch)].float())
            with torch.no_grad():
                part = run_stages(network, [stage], part)
    return {name: torch.cat(parts) for name, parts in found.items()}


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def digits() -> Pictures:
    return open_data("digits#test").subset(range(70))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("photos")
    generator = torch.Generator().manual_seed(0)
    for number in range(5):
        noise = torch.randint(0, 256, (40, 50, 3), generator=generator, dtype=torch.uint8)
        (folder / f"class {number % 2}").mkdir(exist_ok=True)
        Image.fromarray(noise.numpy()).save(folder / f"class {number % 2}" / f"{number}.png")
    return open_data(f"folder:{folder}")


# --- the same numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"pretrained": True},
        {"pretrained": True, "keep_until": "fc1"},
        {"pretrained": True, "keep_until": "fc2", "num_classes": 3},
        {"pretrained": True, "freeze_until": "fc2"},
        {"pretrained": True, "dtype": "bfloat16"},
        {"num_classes": 0},
    ],
    ids=str,
)
def test_it_is_what_enters_each_stage(given: dict[str, Any], digits: Pictures) -> None:
    model = zoo.create("lenet5", **given)
    probed = probe(model, digits, **quiet)
    assert alike(probed.features, plainly(model, digits))
    assert list(probed.features) == list(model.chain)[1:]
    assert all(rows.dtype == torch.float32 for rows in probed.features.values())


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("resnet18", {"img_size": 64}),
        ("timm/vit_tiny_patch16_224", {"img_size": 32}),
        ("timm/swin_tiny_patch4_window7_224", {"img_size": 56}),  # N, H, W, C
        ("timm/convnext_atto", {"img_size": 64}),
        ("timm/mixer_s32_224", {"img_size": 64}),  # tokens without a class token
    ],
)
def test_of_maps_tokens_and_vectors(name: str, config: dict[str, Any], photos: Pictures) -> None:
    torch.manual_seed(0)
    model = zoo.create(name, **config)
    probed = probe(model, photos, **quiet)
    assert "head" in probed.features
    assert alike(probed.features, plainly(model, photos))
    assert {*probed.features, *probed.unsure} == {*model.chain} - {next(iter(model.chain))}


def test_of_a_strangers_network(offer: Offer, photos: Pictures) -> None:
    offer(MANIFEST, toy())
    model = zoo.create("toy", num_classes=2)
    assert alike(probe(model, photos, **quiet).features, plainly(model, photos))


def test_a_network_that_was_changed_since(digits: Pictures) -> None:
    model = zoo.create("lenet5", pretrained=True)
    model.fc1 = nn.Linear(400, 50)
    model.fc2 = nn.Linear(50, 84)
    probed = probe(model, digits, **quiet)
    assert probed.features["fc2"].shape == (70, 50)
    assert alike(probed.features, plainly(model, digits))


def test_its_hooks_run(digits: Pictures) -> None:
    model = zoo.create("lenet5", pretrained=True)
    model.conv2.register_forward_hook(lambda module, given, out: out + 1)
    assert alike(probe(model, digits, **quiet).features, plainly(model, digits))


def test_the_model_stays_as_it_is(digits: Pictures) -> None:
    model = zoo.create("lenet5", pretrained=True, freeze_until="fc2").train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = model.frozen, [module.training for module in model.modules()], torch.get_rng_state()
    probe(model, digits, **quiet)
    assert alike(model.state_dict(), state)
    assert (model.frozen, [module.training for module in model.modules()]) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])


# --- each picture once ---------------------------------------------------------------------------


def test_a_second_question_computes_none_and_a_new_picture_one(
    tmp_path: Path, digits: Pictures
) -> None:
    model = zoo.create("lenet5", pretrained=True)
    with using_cache(tmp_path):
        first = probe(model, digits.subset(range(40)), **quiet)
        again = probe(model.train(), digits.subset(range(40)), **quiet)
        more = probe(model, digits.subset([41, *reversed(range(40))]), **quiet)
    assert (first.computed, again.computed, more.computed) == (40, 0, 1)
    assert alike(again.features, first.features)
    backwards = {name: rows[1:].flip(0) for name, rows in more.features.items()}
    assert alike(backwards, first.features)


def test_asking_for_some_stages_is_no_new_question(tmp_path: Path, digits: Pictures) -> None:
    model = zoo.create("lenet5", pretrained=True)
    with using_cache(tmp_path):
        whole = probe(model, digits, **quiet)
        some = probe(model, digits, stages=["head", "fc1"], **quiet)
    assert some.computed == 0 and list(some.features) == ["fc1", "head"]
    assert torch.equal(some.features["head"], whole.features["head"])


def test_other_weights_are_computed(tmp_path: Path, digits: Pictures) -> None:
    with using_cache(tmp_path):
        for weights in ("mnist5k", "fashion_mnist"):
            model = zoo.create("lenet5", pretrained=weights)
            assert probe(model, digits, **quiet).computed == len(digits)


@pytest.mark.parametrize("step", [with_noise, centred])
def test_what_depends_on_more_than_the_picture_is_not_kept(
    step: Callable[..., Tensor],
    offer: Offer,
    photos: Pictures,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(MANIFEST, toy(step))
    model = zoo.create("toy", num_classes=2)
    with using_cache(tmp_path):
        assert [probe(model, photos).computed for _ in range(2)] == [5, 5]
    assert "Not kept: toy gives other numbers in each batch." in capsys.readouterr().err


def test_a_dataset_of_ones_own_is_known_again(tmp_path: Path) -> None:
    shades = [(Image.new("L", (32, 32), shade), shade % 2) for shade in range(6)]
    model = zoo.create("lenet5", pretrained=True)
    with using_cache(tmp_path):
        found = [probe(model, open_data(shades), **quiet).computed for _ in range(2)]
    assert found == [6, 0]


def test_it_says_how_quick_it_was(
    tmp_path: Path, digits: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    model = zoo.create("lenet5", pretrained=True)
    with using_cache(tmp_path):
        probe(model, digits)
        probe(model, digits)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("70 pictures in ") and first.endswith(" pictures/s")
    assert second == "70 pictures, all known from before"


# --- what cannot be ------------------------------------------------------------------------------


def test_what_cannot_be_probed_is_a_line(tmp_path: Path, digits: Pictures) -> None:
    model = zoo.create("lenet5", pretrained=True)
    with pytest.raises(zoo.UnknownName, match='No stage "fc3"'):
        probe(model, digits, stages=["fc3"])
    with pytest.raises(zoo.ZooError, match='What enters "conv1" are the pictures'):
        probe(model, digits, stages=["conv1"])
    with pytest.raises(zoo.DataError, match="has no pictures"):
        probe(model, digits.subset([]))
    folder = colours(tmp_path / "pictures", {"red": (255, 0, 0), "blue": (0, 0, 255)})
    next((folder / "red").iterdir()).write_bytes(b"no picture")
    with pytest.raises(zoo.DataError, match="is no picture that can be read"):
        probe(model, open_data(f"folder:{folder}"), **quiet)
