"""Third parties' architectures in create(): what the fast path cannot serve, and what is wrong."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from support.model_fixtures import Offer
from support.twins import assert_equal, mapped
from torch import Tensor, nn

import zoo_core as zoo

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

# --- what the fast path cannot serve -------------------------------------------------------------


class Toy(nn.Module):
    """Three colours of 8x8 -> scores; a third party's."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, 4, 3)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, num_classes)
        self.finish()

    def finish(self) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.scaled(self.conv(x))))

    def scaled(self, x: Tensor) -> Tensor:
        return x


class HiddenBuffer(Toy):
    def finish(self) -> None:
        self.register_buffer("scale", torch.linspace(1, 3, 6), persistent=False)

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.scale


class PlainTensor(Toy):
    def finish(self) -> None:
        self.scale = torch.linspace(1, 3, 6)

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.scale


class TensorInAList(Toy):
    def finish(self) -> None:
        self.scales = {"all": [(torch.linspace(1, 3, 6), 1)]}

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.scales["all"][0][0]


class ComputedValue(Toy):
    def finish(self) -> None:
        self.scale = torch.linspace(1, 3, 6).sum().item()  # which no meta tensor can give

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.scale


class Tied(Toy):
    def finish(self) -> None:
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def scaled(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class UsedTwice(Tied):
    def finish(self) -> None:
        self.first = self.second = nn.Linear(6, 6)


class BufferUsedTwice(Toy):
    def finish(self) -> None:
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.second.running_mean = self.first.running_mean

    def scaled(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class MetaTensor(Toy):
    def finish(self) -> None:
        self.scale = torch.ones(6, device="meta")


class MetaBuffer(Toy):
    def finish(self) -> None:
        self.register_buffer("scale", torch.ones(6, device="meta"), persistent=False)


TOYS = (HiddenBuffer, PlainTensor, TensorInAList, ComputedValue, Tied, UsedTwice, BufferUsedTwice)
OWNED = {Tied: ("conv", "first", "second"), UsedTwice: ("conv", "first", "second")}
FACTS = '[models.{}]\narchitecture = "{}"\nnum_classes = 3\ninput = {{ size = [3, 8, 8] }}\n'


def toy_architecture(kind: type[Toy]) -> zoo.Architecture:
    def stem(model: Any, x: Tensor) -> Tensor:
        return model.scaled(model.conv(x))

    stages = [
        zoo.Stage("stem", run=(stem,), owns=OWNED.get(kind, ("conv",))),
        zoo.Stage("pool", run=("pool",)),
        zoo.Stage("head", run=("head",)),
    ]
    return zoo.Architecture(kind.__name__.lower(), kind, lambda model: stages)


def offer_toy(offer: Offer, kind: type[Toy]) -> str:
    name = kind.__name__.lower()
    offer(FACTS.format(name, name), toy_architecture(kind))
    return name


@pytest.mark.parametrize("kind", [Toy, *TOYS])
def test_models_of_every_kind_get_their_weights(offer: Offer, tmp_path, kind):
    name = offer_toy(offer, kind)
    torch.manual_seed(3)
    plain = kind(3, 3).eval()
    path = tmp_path / "toy.safetensors"
    save_file({key: tensor.clone() for key, tensor in plain.state_dict().items()}, path)
    before = torch.get_rng_state()
    model = zoo.create(name, pretrained=path)
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(model, plain, 3, 8)
    assert mapped(path, model.conv.weight) == (kind in (Toy, ComputedValue))
    assert_equal(copy.deepcopy(model), plain, 3, 8)
    assert model.freeze_until("head").frozen and model.training is False

    torch.manual_seed(5)
    other = zoo.create(name, pretrained=path, num_classes=7, in_chans=1, dtype="float64")
    torch.manual_seed(5)
    assert torch.equal(other.head.weight, nn.Linear(4, 7).weight.double())
    assert torch.equal(other.conv.weight, plain.conv.weight.sum(1, keepdim=True).double())


@pytest.mark.parametrize("kind", [Tied, UsedTwice])
def test_tied_weights_stay_tied_and_may_be_written_once(offer: Offer, tmp_path, kind):
    name = offer_toy(offer, kind)
    plain = kind(3, 3).eval()
    save_model(plain, str(tmp_path / "toy.safetensors"))  # which leaves out the second name
    assert len(load_file(tmp_path / "toy.safetensors")) < len(plain.state_dict())
    model = zoo.create(name, pretrained=tmp_path / "toy.safetensors")
    assert model.second.weight is model.first.weight
    assert_equal(model, plain, 3, 8)


@pytest.mark.parametrize("kind", [MetaTensor, MetaBuffer])
def test_what_has_no_values_is_refused(offer: Offer, tmp_path, kind):
    name = offer_toy(offer, kind)
    save_file(Toy(3, 3).state_dict(), tmp_path / "toy.safetensors")
    for pretrained in (False, tmp_path / "toy.safetensors"):
        with pytest.raises(zoo.WeightsError, match=r"has tensors without values: (scale|an attr)"):
            zoo.create(name, pretrained=pretrained)


# --- third parties' mistakes ---------------------------------------------------------------------


def failing(**change: Any) -> zoo.Architecture:
    return replace(toy_architecture(Toy), **change)


def test_a_build_that_raises_is_one_error(offer: Offer):
    def build(*, num_classes: int, in_chans: int, width: int = 3) -> nn.Module:
        raise KeyError(f"width {width}")

    offer(FACTS.format("toy", "toy"), failing(build=build))
    message = r'"toy" of toys \(zoo-toys 1\) cannot be built: KeyError: .width 4.\.'
    with pytest.raises(zoo.ZooError, match=message) as caught:
        zoo.create("toy", width=4)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_stage_that_names_what_is_not_there(offer: Offer):
    stages = [zoo.Stage("stem", run=("conv", "norm")), zoo.Stage("head", run=("head",))]
    offer(FACTS.format("toy", "toy"), failing(stages=lambda model: stages))
    with pytest.raises(zoo.PluginError, match='"stem" of "toy" names norm, which its Toy does not'):
        zoo.create("toy")


def test_a_checkpoint_that_adapt_does_not_know(offer: Offer, tmp_path):
    def adapt(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        return {name: tensors[f"module.{name}"] for name in model.state_dict()}

    offer(FACTS.format("toy", "toy"), failing(adapt=adapt))
    path, whole = tmp_path / "toy.safetensors", Toy(3, 3)
    save_file(whole.state_dict(), path)
    with pytest.raises(
        zoo.WeightsError, match=r"cannot be adapted: 'module\.conv\.weight'"
    ) as caught:
        zoo.create("toy", pretrained=path)
    assert str(path) in str(caught.value)
    save_file({f"module.{name}": tensor for name, tensor in whole.state_dict().items()}, path)
    assert_equal(zoo.create("toy", pretrained=path), whole, 3, 8)


def test_an_attribute_that_zoo_needs(offer: Offer):
    class Taken(Toy):
        def finish(self) -> None:
            self.labels = ()

    offer(FACTS.format("toy", "toy"), failing(build=Taken))
    with pytest.raises(zoo.PluginError, match="Taken has attributes that zoo needs: labels"):
        zoo.create("toy")


class InAContainer(Toy):
    """With dropout beside its classifier, both under one name."""

    def finish(self) -> None:
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, self.head.out_features, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.head(self.pool(self.conv(x))))


def test_a_head_comes_back_in_its_own_kind_and_place(offer: Offer, tmp_path):
    stages = [
        zoo.Stage("stem", run=("conv", "pool")),
        zoo.Stage("head", run=("head", "flatten"), owns=("head",)),
    ]
    architecture = zoo.Architecture("toy", InAContainer, lambda model: stages)
    offer(FACTS.format("toy", "toy"), architecture)
    save_file(InAContainer(5, 3).state_dict(), tmp_path / "toy.safetensors")
    model = zoo.create("toy", pretrained=tmp_path / "toy.safetensors")
    assert model.num_outputs == 5
    keys = list(model.state_dict())
    assert model.reset_head(0)(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert model.num_outputs == 0 and model.state_dict().keys() == set(keys[:2])
    assert model.reset_head(0).reset_head(6)(torch.zeros(2, 3, 8, 8)).shape == (2, 6)
    assert list(model.state_dict()) == keys and isinstance(model.head[0], nn.Dropout)
