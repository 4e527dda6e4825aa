"""torch.jit.script takes what it takes of the original classes, swapped or not."""

import pytest
import torch
from torch import Tensor, nn

import zoo_core as zoo

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "googlenet", "timm/vit_tiny_patch16_224"])
def test_a_model_is_scripted(name: str) -> None:
    model = zoo.create(name, num_classes=3).eval()
    x = torch.rand(2, *model.input.size)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x))


class Own(nn.Module):
    """Has an annotation that TorchScript needs, and properties that it must not see."""

    sizes: list[int]  # an empty list says nothing of its type
    __jit_unused_properties__ = ["odd"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.sizes = nn.Linear(3, 3), nn.Linear(3, 3), []

    @property
    def odd(self) -> object:
        return {"of": object(), 1: ...}

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x)) + len(self.sizes)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_module_of_others_is_scripted(frozen: bool) -> None:
    module, x = Own(), torch.rand(1, 3)
    if frozen:
        zoo.freeze_until(module, "last", example=x)
    assert torch.equal(torch.jit.script(module)(x), module(x))


def test_a_frozen_model_is_scripted() -> None:
    model = zoo.create("lenet5").freeze_until("fc2")
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(torch.jit.script(model)(x), model(x))


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "timm/test_resnet"])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_network_of_features_is_scripted(name: str) -> None:
    network = zoo.create(name, features_only=True).eval()
    scripted = torch.jit.script(network)
    x = torch.rand(3, *zoo.info(name).input.size)
    for one, other in zip(scripted(x), network(x), strict=True):
        torch.testing.assert_close(one, other)
    assert not network.training and all(p.requires_grad for p in network.parameters())
