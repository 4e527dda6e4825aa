"""Whether a model's name and arguments, with its tensors, make the same network again.

That is all that a run or a published folder holds of it. What somebody changed by hand after
create(), such as another activation, pooling or head, is in neither.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from zoo_core.errors import first_line
from zoo_core.humanize import readable_name
from zoo_core.model.arguments import off_meta
from zoo_core.model.base import equal
from zoo_core.model.loading import with_weights
from zoo_core.model.plan import plan_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.eval_twin import twin_with
from zoo_core.transfer.wrappers import uncompiled

ROUNDING = 16  # in units of the last place of the largest score, off the CPU: kernels are chosen
LOUDEST = 64.0  # of the noise: what bends far from zero shows, too, as ReLU6 does


def rebuilt(model: ZooModel, source: str) -> nn.Module:
    """The network that its name and arguments make, with its tensors. No random number is used.

    Raises WeightsError where they do not fit; `source`: what is said to lack some.
    """
    state = model.state_dict()
    like = _like(model)
    channels = model.origin.in_chans
    plan = plan_of(model.info, model.origin.config, torch.device("cpu"), like.dtype)
    with torch.random.fork_rng(devices=[]), off_meta():
        built, _ = with_weights(
            plan,
            lambda module: dict(state),
            classes=model.num_outputs,
            in_chans=channels,
            own_chans=channels,
            source=source,
        )
    return built.module.to(like.device)


def other_answers(model: ZooModel, again: nn.Module) -> str:
    """What a network built again does otherwise, with the same tensors; "" for nothing.

    One picture of noise is asked for, in eval mode and without a change to either. Zeros among the
    tensors are random numbers meanwhile: what they are multiplied with would not show.
    """
    tensors = _telling(model)
    ours = _scores(twin_with(model, tensors), model)
    try:
        theirs = _scores(twin_with(again, tensors), model)
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        return _other_module(model, again) or f"it gives no scores then: {first_line(error)}"
    if _alike(ours, theirs):
        return ""
    return _other_module(model, again) or "it gives other scores with the same weights"


def _like(model: nn.Module) -> Tensor:
    return next(p for p in model.parameters() if p.is_floating_point())


def _telling(model: nn.Module) -> dict[str, Tensor]:
    """The tensors, without any that are zero alone; but for those of scripted parts, which stay."""
    generator = torch.Generator().manual_seed(0)
    parts = model.named_modules()
    scripted = tuple(f"{path}." for path, p in parts if isinstance(p, torch.jit.ScriptModule))
    tensors = {}
    for name, tensor in model.state_dict().items():
        blank = tensor.is_floating_point() and not name.startswith(scripted) and not tensor.any()
        noise = torch.rand(tensor.shape, generator=generator) if blank else tensor
        tensors[uncompiled(name)] = noise.to(device=tensor.device, dtype=tensor.dtype)
    return tensors


def _scores(network: nn.Module, model: ZooModel) -> Tensor:
    """For a picture that is quiet on one side and loud on the other, where numbers have room."""
    like, generator = _like(model), torch.Generator().manual_seed(0)
    loudest = LOUDEST if like.dtype != torch.float16 else 1.0
    x = torch.randn(1, *model.input.size, generator=generator)
    x = x * torch.logspace(0, math.log10(loudest), x.shape[-1])
    devices = [like.device] if like.is_cuda else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)  # for what draws in eval mode, too
        return cast(Tensor, network(x.to(like.device, like.dtype)))


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Whether scores are the same bit for bit; off the CPU, but for rounding."""
    if equal(ours, theirs) or ours.device.type == "cpu" or ours.shape != theirs.shape:
        return equal(ours, theirs)
    room = ROUNDING * torch.finfo(ours.dtype).eps * float(ours.abs().max())
    return torch.allclose(ours, theirs, rtol=0, atol=room, equal_nan=True)


def _other_module(model: nn.Module, again: nn.Module) -> str:
    """The first module without others inside that is not as it would be built; "" for none."""
    theirs = dict(again.named_modules())
    for path, part in model.named_modules():
        other = theirs.get(uncompiled(path))
        if next(part.children(), None) is None and repr(part) != repr(other):
            made = "nothing is there" if other is None else f"{_told(other)} is made"
            return f"{path} is {_told(part)}, where {made}"
    ours = {uncompiled(path) for path, _ in model.named_modules()}
    gone = next((path for path in theirs if path not in ours), None)
    return "" if gone is None else f"it has no {gone}, which is made"


def _told(part: nn.Module) -> str:
    return readable_name(repr(part).partition("\n")[0])[:80]
