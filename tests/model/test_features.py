"""Networks of features, and the arguments that official models have in common with timm's."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import zoo_core as zoo

CHANNELS = {
    "lenet5": [6, 16],
    "alexnet": [64, 192, 384, 256, 256],
    "googlenet": [192, 480, 832, 1024],
}


@pytest.mark.parametrize("name", CHANNELS)
def test_maps_come_from_the_chain_where_a_class_has_none_of_its_own(name):
    x = torch.rand(2, *zoo.info(name).input.size)
    torch.manual_seed(0)
    model = zoo.create(name).eval()
    torch.manual_seed(0)
    network = zoo.create(name, features_only=True).eval()
    last, maps = model.forward_intermediates(x)
    stages = network.feature_info.module_name()
    assert network.feature_info.channels() == CHANNELS[name] == [m.shape[1] for m in maps]
    for stage, one, other in zip(stages, maps, network(x), strict=True):
        names = list(model.chain)
        assert torch.equal(one, other)
        assert torch.equal(one, model.forward_until(x, names[names.index(stage) + 1]))
    assert last is maps[-1]
    sizes = [m.shape[-1] for m in maps]
    for size, ratio in zip(sizes, network.feature_info.reduction(), strict=True):
        assert size <= -(-x.shape[-1] // ratio) + 1


def test_only_the_stages_that_are_needed_are_kept_and_run():
    network = zoo.create("lenet5", pretrained=True, features_only=True, out_indices=(0,))
    assert sum(p.numel() for p in network.parameters()) == 156
    x = torch.rand(1, 1, 32, 32)
    model = zoo.create("lenet5", pretrained=True).eval()
    assert torch.equal(network(x)[0], model.forward_until(x, "conv2"))
    early = model.forward_intermediates(x, indices=(0,), stop_early=True)
    assert early[0] is early[1][0]
    assert len(model.forward_intermediates(x, indices=1, intermediates_only=True)) == 1
    assert len(pickle.loads(pickle.dumps(model)).forward_intermediates(x, (-1, 0))[1]) == 2
    assert [m.shape[1] for m in zoo.create("lenet5", features_only=True, out_indices=1)(x)] == [16]


@pytest.mark.parametrize(
    "name", ["resnet18", "inception_v3", "timm/test_efficientnet", "timm/test_vit"]
)
def test_timms_classes_keep_their_own_with_the_weights_of_the_model(name, monkeypatch, caplog):
    model = zoo.create(name, num_classes=3, in_chans=1).eval()
    monkeypatch.setattr("zoo_core.model.create._untrained", lambda *given: model)
    network = zoo.create(name, features_only=True, in_chans=1)
    theirs = timm.create_model(name.removeprefix("timm/"), features_only=True, in_chans=1).eval()
    assert type(network) is type(theirs) and not network.training
    assert network.feature_info.channels() == theirs.feature_info.channels()
    theirs.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, *model.input.size[1:])
    which = network.feature_info.out_indices
    own = model.forward_intermediates(x, indices=which, intermediates_only=True)
    for mine, same, other in zip(network(x), own, theirs(x), strict=True):
        torch.testing.assert_close(mine, same)
        assert torch.equal(mine, other)
    assert not caplog.records and network.pretrained_cfg["state_dict"] is None


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("lenet5", {"out_indices": (2,), "features_only": True}, r"2 maps .* and no \(2,\) of"),
        ("lenet5", {"out_indices": 3, "features_only": True}, "2 maps .* and no 3 of them"),
        ("lenet5", {"feature_cls": "fx", "features_only": True}, "no option 'feature_cls'"),
        ("resnet18", {"out_indices": (7,), "features_only": True}, "gives no such features"),
        ("resnet18", {"freeze_until": "layer1", "features_only": True}, "no stages to freeze"),
        ("resnet18", {"out_indices": (1,)}, "out_indices goes with features_only=True"),
        ("resnet18", {"global_pool": ""}, "Without pooling there are no scores"),
        ("resnet18", {"global_pool": "most"}, "Invalid pool type: most"),
        ("googlenet", {"global_pool": "most"}, "global_pool is one of 'avg', 'max', ''"),
        ("alexnet", {"drop_rate": 2.0}, "between 0 and 1, but got 2.0"),
        ("alexnet", {"drop_rate": 0.1, "dropout": 0.2}, "are one thing: give drop_rate alone"),
        ("googlenet", {"drop_rate": 0.1, "dropout": 0.3}, "are one thing: give drop_rate alone"),
        ("inception_v4", {"aux_logits": True}, "unexpected keyword argument 'aux_logits'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(name, given, message):
    with pytest.raises(zoo.ZooError, match=message) as caught:
        zoo.create(name, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "dropout"),
    [("alexnet", "classifier.0"), ("googlenet", "dropout"), ("inception_v4", "head_drop")],
)
def test_dropout_has_timms_name_on_every_model(name, dropout):
    assert zoo.create(name, drop_rate=0.125).get_submodule(dropout).p == 0.125
    if name != "inception_v4":
        assert zoo.create(name, dropout=0.25).get_submodule(dropout).p == 0.25
    assert zoo.create("resnet18", drop_rate=0.5).drop_rate == 0.5
    assert zoo.create("lenet5", drop_rate=0.5).head_drop.p == 0.5


@pytest.mark.parametrize(
    "name", ["resnet18", "inception_v3", "timm/test_convnext", "timm/test_vit", "timm/vgg11"]
)
def test_without_pooling_and_classifier_maps_come_out_as_of_timm(name):
    model = zoo.create(name, num_classes=0, global_pool="").eval()
    theirs = timm.create_model(name.removeprefix("timm/"), num_classes=0, global_pool="").eval()
    theirs.load_state_dict(model.state_dict())
    x = torch.rand(1, *model.input.size)
    assert torch.equal(model(x), theirs(x))


def test_googlenet_pools_as_it_is_told():
    x = torch.rand(2, 3, 224, 224)
    maps = zoo.create("googlenet", num_classes=0, global_pool="").eval()
    most = zoo.create("googlenet", num_classes=0, global_pool="max").eval()
    most.load_state_dict(maps.state_dict())
    assert torch.equal(most(x), maps(x).amax((2, 3)))


def test_auxiliary_classifiers_have_timms_name():
    model = zoo.create("inception_v3", aux_logits=True, num_classes=5)
    assert model.train()(torch.rand(2, 3, 299, 299)).shape == (2, 5)
    assert model.chain["head"].has("AuxLogits.fc.weight")
    assert model.reset_head(3).AuxLogits.fc.out_features == 3
    scores = zoo.create("googlenet", aux_logits=True, num_classes=4).forward_with_aux(
        torch.rand(2, 3, 224, 224)
    )
    assert [s.shape for s in scores] == [(2, 4)] * 3


DEFAULT_META = """
import torch, zoo_core as zoo
torch.set_default_device("meta")
try:
    zoo.create("lenet5")
except zoo.ZooError as error:
    print(error)
for given in ({}, {"pretrained": True, "num_classes": 3}, {"features_only": True}):
    print(any(t.is_meta for t in zoo.create("lenet5", device="cpu", **given).parameters()))
with torch.device("meta"):
    model = zoo.create("resnet18", device="cpu", in_chans=1).reset_head(2).freeze_until("head")
print(any(t.is_meta for t in model.parameters()), "head" in model.summary())
"""


@pytest.mark.slow
def test_the_advice_for_a_default_meta_device_works():
    command = [sys.executable, "-c", DEFAULT_META]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert 'device="cpu"' in lines[0], done.stderr
    assert lines[1:] == ["False", "False", "False", "False True"], done.stderr


@pytest.mark.parametrize("asked", ["1", (1.5,), (), True, ("a",)])
def test_what_is_no_number_of_a_map_is_refused(asked: Any) -> None:
    with pytest.raises(zoo.ZooError, match=r"no .* of them"):
        zoo.create("lenet5", features_only=True, out_indices=asked)


@pytest.mark.parametrize("name", ["lenet5", "resnet18d", "timm/test_vit"])
def test_they_say_which_pictures_they_want(name: str) -> None:
    network, model = zoo.create(name, features_only=True), zoo.create(name)
    told = timm.data.resolve_data_config({}, model=network)
    assert (told["input_size"], told["mean"]) == (model.input.size, model.input.mean)


def test_weights_without_a_classifier_are_enough(tmp_path: Path) -> None:
    model = zoo.create("timm/test_vit", num_classes=0)
    save_file(model.state_dict(), tmp_path / "headless.safetensors")
    given = {"pretrained": tmp_path / "headless.safetensors", "features_only": True}
    x = torch.rand(1, 3, 160, 160)
    maps = zoo.create("timm/test_vit", **given).eval()(x)
    wanted = model.eval().forward_intermediates(x, intermediates_only=True)
    assert torch.equal(maps[-1], wanted[-1])
