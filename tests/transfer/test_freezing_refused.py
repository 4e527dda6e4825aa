"""What zoo.freeze_until refuses of a module that zoo did not create, and what it says."""

from __future__ import annotations

import pytest
import torch
from support.freezing import Small, still_training
from torch import Tensor, nn

import zoo_core as zoo


def test_a_module_needs_an_example():
    with pytest.raises(zoo.FreezeError, match="needs an example") as error:
        zoo.freeze_until(Small(), "head")
    assert "example=torch.zeros(1, 3, 224, 224)" in error.value.hint


@pytest.mark.parametrize("layer", ["", None, 1, nn.ReLU(), "heed", "head."])
def test_an_unknown_layer_of_a_plain_module_is_an_error(layer):
    with pytest.raises(zoo.UnknownName, match=r"Top level: body head\.$"):
        zoo.freeze_until(Small(), layer, example=torch.zeros(1, 3))


def test_the_closest_path_is_named():
    with pytest.raises(zoo.UnknownName, match=r'Closest: "body\.\d"'):
        zoo.freeze_until(Small(), "body.2", example=torch.zeros(1, 3))


@pytest.mark.parametrize("layer", ["body", "body.0"])
def test_freezing_nothing_of_a_plain_module_is_an_error(layer):
    model = Small()
    with pytest.raises(zoo.FreezeError, match=f'Nothing feeds "{layer}"'):
        zoo.freeze_until(model, layer, example=torch.zeros(1, 3))
    assert type(model) is Small


def test_a_module_without_parameters_has_nothing_to_freeze():
    model = nn.Sequential(nn.Dropout(), nn.ReLU())
    with pytest.raises(zoo.FreezeError, match="Nothing feeds"):
        zoo.freeze_until(model, "1", example=torch.zeros(1))


def test_a_layer_that_is_never_called_is_an_error_that_names_its_parts():
    class Lists(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
            self.unused = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body[1](self.body[0](x)))

    x = torch.zeros(1, 3)
    with pytest.raises(zoo.FreezeError, match=r'"body" is never called .*body\.0 body\.1'):
        zoo.freeze_until(Lists(), "body", example=x)
    with pytest.raises(zoo.FreezeError, match='"unused" is never called'):
        zoo.freeze_until(Lists(), "unused", example=x)
    assert len(zoo.freeze_until(Lists(), "body.1", example=x).frozen) == 2


@pytest.mark.parametrize("example", [torch.zeros(1, 5), torch.zeros(1, 3).half(), "text", (), 3])
def test_an_example_that_does_not_go_through_is_an_error_and_nothing_has_changed(example):
    model = Small().train()
    with pytest.raises(zoo.FreezeError, match=r"forward pass .* fails") as error:
        zoo.freeze_until(model, "head", example=example)
    assert error.value.__cause__ is not None and "\n" not in str(error.value)
    assert type(model) is Small and still_training(model) == {n for n, _ in model.named_modules()}
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
