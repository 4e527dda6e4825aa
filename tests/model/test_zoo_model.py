"""A created model afterwards: copied, pickled, compiled, exported; its head, labels and facts."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.model_fixtures import Files, Offer
from support.twins import MODELS, WITH_AUX
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.freezing import Freezable
from zoo_inception.googlenet import GoogLeNet

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

# --- works afterwards ----------------------------------------------------------------------------


@pytest.fixture(params=["lenet5", "resnet18", "googlenet+aux"])
def created(request: pytest.FixtureRequest, weights_of: Files) -> tuple[ZooModel, nn.Module]:
    """A pretrained model with a frozen part, and the reference implementation with its weights."""
    name = request.param
    config = {"aux_heads": True} if "aux" in name else {}
    model = zoo.create(name.removesuffix("+aux"), pretrained=weights_of(name), **config)
    reference = WITH_AUX() if "aux" in name else MODELS[name][0]()
    reference.load_state_dict(load_file(weights_of(name)))
    return model.freeze_until("head").eval(), reference.eval()


def pictures(model: ZooModel) -> Tensor:
    channels = model.input.size[0]
    side = 32 if channels == 1 else 64
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(6))


def test_it_is_the_original_class_too(created):
    model, reference = created
    assert isinstance(model, ZooModel | Freezable)
    kind = GoogLeNet if type(reference).__name__ == "GoogLeNet" else type(reference)
    assert isinstance(model, kind) and type(model).__name__ == kind.__name__
    assert type(model).__module__ == kind.__module__
    assert set(model.state_dict()) == set(reference.state_dict())
    fresh = zoo.create(model.info.name, aux_heads=True) if kind is GoogLeNet else None
    assert type(fresh or zoo.create(model.info.name)) is type(model)  # one class, cached


def test_its_state_dict_loads_strictly_into_the_reference_class(created):
    model, reference = created
    torch.nn.init.normal_(model.get_parameter(model.frozen[0]))
    reference.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model(pictures(model)), reference(pictures(model)))
    model.load_state_dict(reference.state_dict(), strict=True)


def through_torch_save(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": through_torch_save,
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_whole_and_stand_alone(created, how):
    model, _ = created
    other = COPIES[how](model)
    assert type(other) is type(model)
    assert (other.info, other.origin, other.input) == (model.info, model.origin, model.input)
    assert (list(other.chain), other.labels, other.frozen) == (
        list(model.chain),
        model.labels,
        model.frozen,
    )
    x = pictures(model)
    expected = model(x)
    assert torch.equal(other(x), expected)
    assert not any(module.training for module in list(other.train().modules())[1:4])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(model(x), expected)


def test_a_saved_state_dict_is_no_larger_than_its_tensors(weights_of: Files, tmp_path):
    """Each tensor has a storage of its own: a saved head does not bring the whole file along."""
    model = zoo.create("resnet18", pretrained=weights_of("resnet18"))
    torch.save(model.layer1.state_dict(), tmp_path / "layer1.pt")
    save_file(model.state_dict(), tmp_path / "all.safetensors")
    assert (tmp_path / "layer1.pt").stat().st_size < 700_000
    assert load_file(tmp_path / "all.safetensors").keys() == model.state_dict().keys()


@pytest.mark.parametrize("created", ["lenet5", "resnet18"], indirect=True)
def test_it_compiles_as_one_graph(created):
    model, _ = created
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(pictures(model)), model(pictures(model)))


def test_it_exports(created):
    model, _ = created
    x = pictures(model)
    program = torch.export.export(model, (x,))
    with torch.no_grad():
        assert torch.equal(program.module()(x), model(x))


DISTRIBUTED = """
import sys
import torch
import zoo_core as zoo
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

def trained(model, wrapped):
    torch.manual_seed(0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    wrapped.train()(torch.rand(4, 1, 32, 32)).sum().backward()
    optimizer.step()
    state = model.state_dict()
    return {n: t.full_tensor() if hasattr(t, "full_tensor") else t for n, t in state.items()}

where = f"file://{sys.argv[1]}"
torch.distributed.init_process_group("gloo", init_method=where, rank=0, world_size=1)
plain, ddp, sharded = (
    zoo.create("lenet5", pretrained=True, freeze_until="fc1") for _ in range(3)
)
expected = trained(plain, plain)
told = sharded.summary()
fully_shard(sharded.fc1)
fully_shard(sharded)
assert sharded.summary() == told
try:
    zoo.regularizers("feature-delta").attach(sharded)
except zoo.RecipeError as error:
    assert "cannot be copied" in str(error)
else:
    raise AssertionError("feature-delta takes a model that is sharded")
results = trained(ddp, DistributedDataParallel(ddp)), trained(sharded, sharded)
for model, state in zip((ddp, sharded), results):
    assert isinstance(model, type(plain)) and list(state) == list(expected)
    assert model.frozen == plain.frozen and not model.conv1.training and model.fc1.training
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, expected[name])
torch.distributed.destroy_process_group()
print("equal")
"""


def test_it_trains_under_ddp_and_fsdp(tmp_path):
    command = [sys.executable, "-c", DISTRIBUTED, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["equal"], done.stderr  # gloo speaks, too


# --- heads, labels, facts ------------------------------------------------------------------------


def test_reset_head_puts_a_fresh_classifier_in_place():
    model = zoo.create("lenet5", pretrained=True, dtype="bfloat16").eval()
    before = model.head
    assert model.labels == tuple("0123456789") and not model.origin.new_head
    assert model.reset_head(3, labels=["a", "b", "c"]) is model
    assert model.labels == ("a", "b", "c") and model.num_outputs == model.origin.num_classes == 3
    assert model.head is not before and model.origin.new_head
    assert model.head.weight.dtype == torch.bfloat16 and not model.head.training
    assert model.reset_head(3).labels is None
    assert model.reset_head(0)(torch.zeros(2, 1, 32, 32).bfloat16()).shape == (2, 84)
    assert model.reset_head(np.int64(4)).num_outputs == 4 and type(model.origin.num_classes) is int


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [
        (3, ["a", "b"], "2 labels do not fit 3 classes"),
        (3, "abc", "labels must be 3 names, not one text: 'abc'"),
        (0, ["a"], "1 labels do not fit 0 classes"),
        (-1, None, "num_classes must be a whole number, 0 or more: -1"),
        (2.0, None, "num_classes must be a whole number, 0 or more: 2.0"),
    ],
)
def test_a_head_that_cannot_be_leaves_the_old_one(count, labels, message):
    model = zoo.create("lenet5", pretrained=True)
    head = model.head
    with pytest.raises(zoo.ZooError, match=message):
        model.reset_head(count, labels=labels)
    assert model.head is head and model.labels == tuple("0123456789")


def test_the_same_number_of_classes_keeps_head_and_labels():
    model = zoo.create("lenet5", pretrained=True, num_classes=10)
    assert model.labels == tuple("0123456789") and not model.origin.new_head
    assert torch.equal(model.head.weight, zoo.create("lenet5", pretrained=True).head.weight)


IMAGENET = """
[models.mine18]
architecture = "resnet"
config = {{ variant = "resnet18" }}
[models.mine18.weights.own]
default = true
source = "file:{}"
labels = "imagenet-1k"
input = {{ size = [3, 96, 96], mean = [0.1, 0.2, 0.3], std = [0.5, 0.6, 0.7], crop = 1.0 }}
"""


def test_weights_bring_labels_transform_and_facts(offer: Offer, weights_of: Files):
    offer(IMAGENET.format(weights_of("resnet18")))
    model = zoo.create("mine18.own")
    assert model.labels is not None and model.labels[281] == "tabby, tabby cat"
    assert len(model.labels) == 1000
    assert model.transform()(Image.new("RGB", (120, 100))).shape == (3, 96, 96)
    assert model.transform()(Image.new("RGB", (96, 96))).mean((1, 2)).tolist() == pytest.approx(
        [-0.1 / 0.5, -0.2 / 0.6, -0.3 / 0.7]
    )
    assert (model.info.name, model.info.distribution) == ("mine18", "zoo-toys")
    origin = model.origin
    assert (origin.reference, origin.weights, origin.num_classes) == ("mine18", "own", 1000)
    assert zoo.create("mine18", pretrained=True, num_classes=5).labels is None
    assert zoo.create("mine18").labels is None and zoo.create("mine18").origin.weights is None


def test_labels_that_do_not_fit_the_file_are_left_out(offer: Offer, weights_of: Files, tmp_path):
    tensors = load_file(weights_of("resnet18"))
    five = {**tensors, "fc.weight": tensors["fc.weight"][:5], "fc.bias": tensors["fc.bias"][:5]}
    save_file(five, tmp_path / "five.safetensors")
    offer(IMAGENET.format(tmp_path / "five.safetensors"))
    model = zoo.create("mine18.own")
    assert (model.num_outputs, model.labels) == (5, None)


def test_a_model_without_default_weights_says_which_it_has(offer: Offer, weights_of: Files):
    offer(IMAGENET.format(weights_of("resnet18")).replace("default = true", ""))
    with pytest.raises(zoo.UnknownName, match=r"mine18 has no default weights\. It has: own"):
        zoo.create("mine18", pretrained=True)
