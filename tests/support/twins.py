"""What create() must equal: models built, loaded and adapted by other code, and files for them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from support.places import ROOT
from zoo_lenet.lenet import LeNet5

# name: the reference class, its first convolution, its classifier, a small picture
MODELS: dict[str, tuple[Callable[[], nn.Module], str, str, int]] = {
    "lenet5": (LeNet5, "conv1", "head", 32),
    "alexnet": (torchvision.models.alexnet, "features.0", "classifier.6", 63),
    "googlenet": (
        functools.partial(torchvision.models.googlenet, aux_logits=False, init_weights=False),
        *("conv1.conv", "fc", 64),
    ),
    "resnet18": (functools.partial(timm.create_model, "resnet18"), "conv1", "fc", 64),
    "resnet50d": (functools.partial(timm.create_model, "resnet50d"), "conv1.0", "fc", 64),
    "inception_v3": (
        functools.partial(timm.create_model, "inception_v3"),
        *("Conv2d_1a_3x3.conv", "fc", 75),
    ),
    "inception_v4": (
        functools.partial(timm.create_model, "inception_v4"),
        *("features.0.conv", "last_linear", 75),
    ),
    "inception_resnet_v2": (
        functools.partial(timm.create_model, "inception_resnet_v2"),
        *("conv2d_1a.conv", "classif", 75),
    ),
}
WITH_AUX = functools.partial(torchvision.models.googlenet, aux_logits=True, init_weights=False)
BUNDLED = ROOT / "plugins/zoo_lenet/weights/lenet5.mnist5k.safetensors"


def random_like(name: str, like: Tensor) -> Tensor:
    """Values that keep activations of a usual size, however deep the network is."""
    if not like.is_floating_point():
        return torch.full(like.shape, 7, dtype=like.dtype)
    values = torch.rand(like.shape, generator=torch.Generator().manual_seed(len(name)))
    if like.ndim > 1:
        return values.mul_(2).sub_(1).mul_((4 / like[0].numel()) ** 0.5)
    return values.add_(0.5) if "var" in name or "weight" in name else values.zero_()


def twin(
    name: str,
    path: Path,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """What create() must equal: built plainly, loaded, adapted by the documented rules, cast."""
    build, first, head, _ = MODELS[name]
    module = build()
    module.load_state_dict(load_file(path))
    conv = module.get_submodule(first)
    if in_chans not in (None, conv.in_channels):
        put(module, first, with_channels(conv, in_chans))
    classifier = module.get_submodule(head)
    if num_classes == 0:
        put(module, head, nn.Identity())
    elif num_classes not in (None, classifier.out_features):
        torch.manual_seed(1)
        put(module, head, nn.Linear(classifier.in_features, num_classes))
    return module.to(dtype).eval()


def with_channels(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """One channel: the sum over colours. More: the colours in turn, rescaled."""
    other = copy.deepcopy(conv)
    if channels == 1:
        weight = conv.weight.sum(1, keepdim=True)
    else:
        have = conv.in_channels
        turns = [conv.weight[:, i % have] for i in range(channels)]
        weight = torch.stack(turns, 1) * (have / channels)
    other.weight, other.in_channels = nn.Parameter(weight.detach()), channels
    return other


def put(module: nn.Module, path: str, part: nn.Module) -> None:
    parent, _, last = path.rpartition(".")
    setattr(module.get_submodule(parent), last, part)


def assert_equal(model: nn.Module, other: nn.Module, channels: int, side: int) -> None:
    """The same tensors by the same names in the same order, and the same output, bit for bit.

    That is the output of a copy: at the alignment that the file gives, kernels may round otherwise.
    """
    ours, theirs = model.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype, name
        assert torch.equal(tensor, theirs[name]), name
    dtype = next(other.parameters()).dtype
    x = torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(2)).to(dtype)
    with torch.no_grad():
        expected = other.eval()(x)
        torch.testing.assert_close(model.eval()(x), expected)
        assert torch.equal(copy.deepcopy(model)(x), expected)
    assert expected.isfinite().all() and expected.std() > 0


def mapped(path: Path, *tensors: Tensor) -> bool:
    """Whether the bytes of all tensors are a mapping of the file (which Linux tells)."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    ends = [line.split()[0].split("-") for line in lines if line.endswith(f" {path}")]
    spans = [range(int(start, 16), int(end, 16)) for start, end in ends]
    return all(any(tensor.data_ptr() in span for span in spans) for tensor in tensors)
