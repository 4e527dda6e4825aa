"""Models and examples on the meta device, lazy, or made in inference mode."""

from __future__ import annotations

import pytest
import timm
import torch
from support.freezing import layers, picture
from torch import nn

import zoo_core as zoo


def test_a_model_without_values_can_be_frozen_before_its_weights_come():
    with torch.device("meta"):
        model = timm.create_model("test_resnet")
    expected = set(
        zoo.freeze_until(timm.create_model("test_resnet"), "fc", example=picture()).frozen
    )
    assert set(zoo.freeze_until(model, "fc", example=picture()).frozen) == expected
    state = timm.create_model("test_resnet").state_dict()
    model.load_state_dict(state, assign=True)
    assert set(model.frozen) == expected


def test_lazy_layers_are_made_by_the_example():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    zoo.freeze_until(model, "2", example=torch.zeros(1, 3))
    assert model.frozen == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert model[2].weight.shape == (2, 4) and model[2].weight.requires_grad


def test_a_model_made_in_inference_mode_is_refused_with_the_reason():
    with torch.inference_mode():
        model = layers(3, 3, 3)
    with pytest.raises(zoo.FreezeError, match=r"[Ii]nference"):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_example_made_in_any_mode_will_do(mode):
    model = layers(3, 3, 3)
    with mode():
        example = torch.zeros(1, 3)
        zoo.freeze_until(model, "1", example=example)
    zoo.freeze_until(model, "1", example=example)
    assert model.frozen == ("0.weight", "0.bias")
