"""keep_until: what is kept computes what the whole network does up to there, and comes back."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.model.boundaries import Pooling, poolings
from zoo_core.model.kept import cut
from zoo_core.training.replay import replay
from zoo_core.types import Stage

QUIET: dict[str, Any] = {"progress": False}


def pictures(model: Any, count: int = 2) -> Tensor:
    return torch.randn(count, *model.input.size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def scores(model: nn.Module, x: Tensor) -> Tensor:
    return model.eval()(x)


def pair(name: str, until: str, **how: Any) -> tuple[Any, Any]:
    """A network, and what feeds a stage of it with the same weights and no head."""
    whole = zoo.create(name, **how)
    kept = zoo.create(name, keep_until=until, num_classes=0, **how)
    kept.load_state_dict({n: t for n, t in whole.state_dict().items() if n in kept.state_dict()})
    return whole, kept


def entering(model: Any, layer: str, x: Tensor) -> Tensor:
    """What enters a module, by a hook."""
    seen: list[Tensor] = []
    module = model.get_submodule(layer)
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    scores(model, x)
    handle.remove()
    return seen[0]


# --- what it computes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "until", "layer"),
    [
        ("lenet5", "conv2", "conv2"),
        ("lenet5", "fc1", "flatten"),
        ("resnet18", "layer3", "layer3"),
        pytest.param("alexnet", "conv3", "features.6", marks=pytest.mark.slow),
        ("timm/test_efficientnet", "block3", "blocks.2"),
        ("timm/test_convnext", "stage3", "stages.2"),
    ],
)
def test_maps_are_averaged_over_their_places(name: str, until: str, layer: str) -> None:
    whole, kept = pair(name, until)
    x = pictures(whole)
    wanted = entering(whole, layer, x).mean((2, 3))
    assert torch.equal(scores(kept, x), wanted)
    kept.reset_head(5)
    assert torch.equal(scores(kept, x), kept.get_submodule("kept_head")(wanted))


def test_tokens_are_averaged_without_those_of_no_place() -> None:
    whole, kept = pair("timm/test_vit", "block2", img_size=64)
    x = pictures(whole)
    tokens = entering(whole, "blocks.1", x)
    assert whole.num_prefix_tokens == 1
    assert torch.equal(scores(kept, x), tokens[:, 1:].mean(1))


@pytest.mark.slow
def test_maps_with_channels_last_are_told_apart() -> None:
    whole, kept = pair("timm/swin_tiny_patch4_window7_224", "layer2", img_size=64)
    x = pictures(whole)
    assert torch.equal(scores(kept, x), entering(whole, "layers.1", x).mean((1, 2)))
    with pytest.raises(zoo.ZooError, match=r"maps \(N, C, H, W\)"):
        kept.forward_intermediates(x)


def test_rows_need_no_pooling() -> None:
    whole = zoo.create("lenet5", pretrained=True)
    kept = zoo.create("lenet5", pretrained=True, keep_until="fc2", num_classes=0)
    assert list(kept.chain) == ["conv1", "conv2", "fc1", "head"]
    x = pictures(whole)
    assert torch.equal(scores(kept, x), whole.forward_until(x, "fc2"))


def test_the_pool_of_the_network_stays_its_own() -> None:
    kept = zoo.create("alexnet", keep_until="fc7", num_classes=3)
    assert list(kept.chain)[-3:] == ["pool", "fc6", "head"]


def test_a_map_of_one_place_behind_the_pool_is_flattened_in_the_head() -> None:
    kept = zoo.create("timm/mobilenetv3_small_050", keep_until="conv_head", num_classes=3)
    assert kept.chain["head"].run == ("kept_pool", "kept_head")
    assert scores(kept, pictures(kept)).shape == (2, 3)


# --- what it holds -------------------------------------------------------------------------------


def test_only_what_is_kept_is_there() -> None:
    whole = zoo.create("lenet5", pretrained=True)
    kept = zoo.create("lenet5", pretrained=True, keep_until="fc1", num_classes=4)
    names = ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"]
    assert list(kept.state_dict()) == [*names, "kept_head.weight", "kept_head.bias"]
    theirs, ours = whole.state_dict(), kept.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in names)
    assert not {"fc1", "fc2", "head"} & {name for name, _ in kept.named_modules()}
    assert kept.summary().splitlines()[-1].split() == ["total", "2,640", "2,640"]
    assert (kept.labels, kept.origin.new_head, kept.num_outputs) == (None, True, 4)


def test_without_a_number_there_are_as_many_classes_as_the_network_has() -> None:
    kept = zoo.create("lenet5", pretrained=True, keep_until="fc1")
    assert (kept.num_outputs, kept.labels) == (10, None)


def test_dropout_is_asked_for() -> None:
    assert not any(
        isinstance(m, nn.Dropout) for m in zoo.create("lenet5", keep_until="fc1").modules()
    )
    kept = zoo.create("lenet5", keep_until="fc1", drop_rate=0.5)
    assert kept.chain["head"].run == ("kept_drop", "kept_head")


def test_other_channels_and_new_heads() -> None:
    kept = zoo.create("lenet5", pretrained=True, keep_until="fc1", in_chans=3, num_classes=2)
    assert scores(kept, pictures(kept)).shape == (2, 2)
    assert kept.reset_head(3, labels=["a", "b", "c"]).num_outputs == 3
    assert kept.reset_classifier(6).get_classifier().out_features == 6


def test_features_are_those_that_are_kept() -> None:
    network = zoo.create("lenet5", keep_until="fc1", features_only=True)
    assert network.feature_info.channels() == [6, 16]
    assert [m.shape[1] for m in network(torch.rand(1, 1, 32, 32))] == [6, 16]


def test_copies_and_pickles() -> None:
    kept = zoo.create("lenet5", pretrained=True, keep_until="fc1")
    x = pictures(kept)
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert torch.equal(scores(other, x), scores(kept, x))
        assert other.freeze_until("head").frozen


def test_timm_is_not_told_that_it_is_the_whole_network() -> None:
    kept = zoo.create("resnet18", keep_until="layer2")
    assert "architecture" not in kept.pretrained_cfg
    assert kept.num_features == 64


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"keep_until": "conv1"}, 'Nothing feeds "conv1"'),
        ({"keep_until": "fc3"}, 'No stage "fc3". Closest: "fc2"'),
        ({"keep_until": 3}, "keep_until is the name of a stage, not 3"),
        ({"keep_until": "fc1", "freeze_until": "fc2"}, '"fc2" is not there to freeze until'),
        ({"keep_until": "fc1", "dropout": 1}, 'no option "dropout"'),
    ],
)
def test_what_cannot_be_is_a_line(how: dict[str, Any], told: str) -> None:
    with pytest.raises(zoo.ZooError, match=None) as caught:
        zoo.create("lenet5", **how)
    assert told in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_boundary_that_is_no_tensor_names_those_that_can_be() -> None:
    with pytest.raises(zoo.ZooError) as caught:
        zoo.create("timm/deit_tiny_distilled_patch16_224", keep_until="head", img_size=32)
    assert 'What enters "head" cannot be pooled' in caught.value.message
    assert "block2 block3" in (caught.value.hint or "")


class Windows(nn.Module):
    """Puts windows among the pictures, and so has no first axis of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)


def _windows(model: Any, x: Tensor) -> Tensor:
    return x.reshape(-1, 4, 4, 4)


def _as_many_as_places(model: Any, x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)[:, :7]


@pytest.mark.parametrize(
    ("step", "told"),
    [(_windows, "not that of the pictures"), (_as_many_as_places, "is not sure")],
)
def test_nothing_is_guessed(step: Any, told: str) -> None:
    module = Windows()
    chain = {
        s.name: s for s in (Stage("conv", ("conv", step), ("conv",)), Stage("head", ("head",)))
    }
    found = poolings(lambda sides: (module, chain), (3, 8, 8), ["head"])
    assert told in str(found["head"])


def test_the_memory_of_what_is_dropped_is_free() -> None:
    import weakref

    whole = zoo.create("lenet5")
    gone = [weakref.ref(part) for part in (whole.fc1, whole.fc2, whole.head)]
    module = cut(whole, whole.chain, "fc1", Pooling((2, 3), 16), 2, 0.0)
    module.chain = {}
    assert [ref() for ref in gone] == [None] * 3


# --- there and back ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    out = tmp_path_factory.mktemp("kept") / "run"
    how: dict[str, Any] = {"keep_until": "fc1", "freeze_until": "head", "epochs": 1}
    return zoo.finetune("lenet5", "digits#train", out=out, **how, **QUIET)


def test_a_run_comes_back(run: zoo.Run, tmp_path: Path) -> None:
    x = pictures(run.model)
    again = zoo.create(run.path)
    assert torch.equal(scores(again, x), scores(run.model, x))
    assert again.labels == run.model.labels
    assert sorted(load_file(run.path / "best.safetensors")) == [
        "kept_head.bias",
        "kept_head.weight",
    ]
    more = zoo.finetune(run.path, "digits#train", epochs=1, out=tmp_path / "more", **QUIET)
    assert torch.equal(scores(zoo.create(tmp_path / "more"), x), scores(more.model, x))
    repeated = replay(run.path, out=tmp_path / "again", **QUIET)
    assert torch.equal(scores(repeated.model, x), scores(run.model, x))


def test_the_cache_changes_nothing(run: zoo.Run) -> None:
    how: dict[str, Any] = {"keep_until": "fc1", "freeze_until": "head", "epochs": 1, "out": False}
    plain = zoo.finetune("lenet5", "digits#train", cache=False, **how, **QUIET)
    cached = zoo.finetune("lenet5", "digits#train", cache=True, **how, **QUIET)
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, cached.model.state_dict()[name])
        assert torch.equal(tensor, run.model.state_dict()[name])


@pytest.mark.parametrize("delta", [False, True])
def test_what_is_published_comes_back(run: zoo.Run, delta: bool, tmp_path: Path) -> None:
    run.model.save_pretrained(tmp_path / "out", delta=delta)
    told = json.loads((tmp_path / "out/config.json").read_text())
    assert told["zoo"]["config"] == {"keep_until": "fc1"}
    assert "architecture" not in told
    x = pictures(run.model)
    for name, how in ((tmp_path / "out", {}), ("lenet5", {"pretrained": tmp_path / "out"})):
        again = zoo.create(name, **how)
        assert torch.equal(scores(again, x), scores(run.model, x))
    assert "What feeds `fc1` of `lenet5`" in (tmp_path / "out/README.md").read_text()
    with pytest.raises(zoo.ZooError, match='keeps what feeds "fc1" only'):
        zoo.create(tmp_path / "out", keep_until="fc2")


def test_its_file_alone_fits_the_same_part(run: zoo.Run, tmp_path: Path) -> None:
    run.model.save_pretrained(tmp_path / "out")
    file = tmp_path / "out/model.safetensors"
    again = zoo.create("lenet5", pretrained=file, keep_until="fc1")
    x = pictures(again)
    assert torch.equal(scores(again, x), scores(run.model, x))


def test_a_run_of_the_whole_network_can_be_cut(tmp_path: Path) -> None:
    how: dict[str, Any] = {"freeze_until": "fc2", "epochs": 1}
    whole = zoo.finetune("lenet5", "digits#train", out=tmp_path / "whole", **how, **QUIET).model
    kept = zoo.create(tmp_path / "whole", keep_until="head", num_classes=0)
    x = pictures(kept)
    assert torch.equal(scores(kept, x), whole.forward_until(x, "head"))
    tuned = zoo.finetune(
        tmp_path / "whole", "digits#train", keep_until="fc1", epochs=1, out=tmp_path / "k", **QUIET
    )
    assert torch.equal(scores(zoo.create(tmp_path / "k"), x), scores(tuned.model, x))


def test_a_model_that_is_built_is_not_cut(run: zoo.Run) -> None:
    with pytest.raises(zoo.RecipeError, match="keep_until is for a model by name"):
        zoo.finetune(run.model, "digits#train", keep_until="fc1", **QUIET)


def test_it_is_exported(run: zoo.Run, tmp_path: Path) -> None:
    zoo.export(run.model, tmp_path / "m.pt2")
    x = pictures(run.model)
    exported = torch.export.load(tmp_path / "m.pt2").module()
    assert torch.allclose(exported(x), scores(run.model, x), atol=1e-5)
