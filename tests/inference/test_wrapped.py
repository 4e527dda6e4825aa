"""Models inside of what torch puts around them, and parts that it puts in their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.publish.push import save_pretrained

QUIET = {"progress": False}


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="eager")


def inside(module: zoo.ZooModel) -> zoo.ZooModel:
    module.fc1 = compiled(module.fc1)
    return module


WRAPPERS = {
    "data parallel": nn.DataParallel,
    "compiled": compiled,
    "both": lambda module: compiled(nn.DataParallel(module)),
    "a part compiled": inside,
}


def model() -> zoo.ZooModel:
    return zoo.create("lenet5", pretrained=True)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrapped_models(wrap: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    wrapped, x = wrap(model()), torch.randn(3, 1, 32, 32)
    digits = open_data("digits#test").subset(range(50))
    assert zoo.predict(wrapped, x, **QUIET) == zoo.predict(model(), x, **QUIET)
    assert zoo.evaluate(wrapped, digits, **QUIET) == zoo.evaluate(model(), digits, **QUIET)
    again = zoo.create(save_pretrained(wrapped, tmp_path / "saved"))
    theirs = again.state_dict()
    assert all(torch.equal(tensor, theirs[n]) for n, tensor in model().state_dict().items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_models(tmp_path: Path) -> None:
    quantised = torch.ao.quantization.quantize_dynamic(model(), {nn.Linear})
    x, plain = torch.randn(4, 1, 32, 32), model().eval()
    for one, other in zip(
        zoo.predict(quantised, x, **QUIET), zoo.predict(plain, x, **QUIET), strict=True
    ):
        assert one["probability"] == pytest.approx(other["probability"], abs=0.05)
    assert zoo.evaluate(quantised, "digits#test", **QUIET)["accuracy"] > 0.89
    with pytest.raises(zoo.PublishError, match=r"fc1 is quantised, a Linear.*before"):
        quantised.save_pretrained(tmp_path / "saved")
    with pytest.raises(zoo.ZooError, match=r"head is quantised"):
        quantised.reset_head(3)


@pytest.mark.parametrize("ask", [zoo.predict, zoo.evaluate, save_pretrained, zoo.push])
def test_what_is_no_model_of_zoo(ask: Callable[..., object]) -> None:
    for other in (nn.Sequential(model()), nn.DataParallel(nn.Linear(2, 2)), 7):
        with pytest.raises(zoo.ZooError, match=r"is no model of zoo.*zoo\.create"):
            ask(other, "digits#test")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "part"])
def test_names_of_wrappers_in_a_file(prefix: str, tmp_path: Path) -> None:
    state = model().state_dict()
    put = (lambda n: n.replace("fc1.", "fc1._orig_mod.")) if prefix == "part" else prefix.__add__
    save_file({put(name): tensor for name, tensor in state.items()}, tmp_path / "a.safetensors")
    torch.save({put(name): tensor for name, tensor in state.items()}, tmp_path / "a.pth")
    for ending in ("safetensors", "pth"):
        again = zoo.create("lenet5", pretrained=tmp_path / f"a.{ending}").state_dict()
        assert all(torch.equal(tensor, again[name]) for name, tensor in state.items())
    save_file({f"net.{name}": tensor for name, tensor in state.items()}, tmp_path / "b.safetensors")
    with pytest.raises(zoo.WeightsError, match=r"zoo convert .*b\.safetensors --model"):
        zoo.create("lenet5", pretrained=tmp_path / "b.safetensors")
