"""Freezing swaps the class of a plain module: name, keys, copies and compiling stay as they are."""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
from support.autograd_twin import feeds
from support.freezing import Small, assert_freezes_as_the_twin_says, picture, still_training
from torch import Tensor, nn

import zoo_core as zoo


def test_type_name_and_keys_stay_those_of_the_original():
    model, keys = Small(), list(Small().state_dict())
    zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert isinstance(model, Small) and type(model) is not Small
    assert (type(model).__name__, type(model).__module__) == ("Small", Small.__module__)
    assert type(model).__qualname__ == "Small"
    assert list(model.state_dict()) == keys
    Small().load_state_dict(model.state_dict())
    assert repr(model) == repr(Small())
    other = zoo.freeze_until(Small(), "head", example=torch.zeros(1, 3))
    assert type(other) is type(model)
    assert type(Small()) is Small


def test_copies_of_a_frozen_plain_module_are_frozen(tmp_path):
    model = zoo.freeze_until(timm.create_model("test_resnet"), "layer4", example=picture())
    torch.save(model, tmp_path / "model.pt")
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    copies.append(torch.load(tmp_path / "model.pt", weights_only=False))
    for again in copies:
        assert type(again) is type(model)
        assert again.frozen == model.frozen and again.frozen
        assert still_training(again) == still_training(model)
        assert torch.equal(again.eval()(picture()), model.eval()(picture()))
        again.unfreeze()
    assert model.frozen


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_plain_module_compiles_and_exports(frozen):
    model, x = Small(), torch.rand(4, 3)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    if frozen:
        assert zoo.freeze_until(compiled, "head", example=x) is compiled
    compiled.train()
    compiled(x).sum().backward()
    assert (model.body[0].weight.grad is None) == frozen
    assert torch.equal(compiled.eval()(x), model(x))
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), model(x))


def test_a_compiled_part_is_seen_through():
    model, twin = Small(), Small()
    twin.load_state_dict(model.state_dict())
    model.body.compile(backend="aot_eager")
    model(torch.rand(4, 3))
    zoo.freeze_until(model, "body.1", example=torch.rand(1, 3))
    assert set(model.frozen) == feeds(twin, "body.1", torch.rand(1, 3))


def test_a_name_that_zoo_needs_is_refused_and_nothing_has_changed():
    model = Small()
    model.frozen = "mine"
    with pytest.raises(zoo.PluginError, match="Small has attributes that zoo needs: frozen"):
        zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert type(model) is Small
    assert all(p.requires_grad for p in model.parameters()) and model.body[1].training


class CallsItsPartsAsZooDoes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.chain, self.input, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.chain(self.input(x)))


def test_parts_named_as_those_of_a_zoo_model_are_no_obstacle():
    model, x = CallsItsPartsAsZooDoes(), torch.rand(1, 2)
    assert_freezes_as_the_twin_says(model, "head", x)
    assert len(model.param_groups(0.1)) == 2
    assert_freezes_as_the_twin_says(model, "chain", x)
    with pytest.raises(zoo.FreezeError, match="needs an example"):
        model.freeze_until("head")
    with pytest.raises(zoo.UnknownName, match="Top level: chain input head"):
        model.freeze_until("haed", example=x)


def test_a_module_class_with_a_metaclass_of_its_own_is_swapped():
    import abc

    class Abstract(Small, abc.ABC):
        pass

    model = zoo.freeze_until(Abstract(), "head", example=torch.zeros(1, 3))
    assert isinstance(model, Abstract) and model.frozen
    assert type(model).__qualname__ == Abstract.__qualname__
