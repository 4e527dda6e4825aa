"""Tensors that fit a module: classes, channels, ties, types and alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import behind_pool
from zoo_core.errors import WeightsError
from zoo_core.model.build import Built, Plan, check_values, log, outline, unseen, why_plain
from zoo_core.model.head import classifier
from zoo_core.types import Stage
from zoo_core.weights.tensors import ALIGNMENT


def with_weights(
    plan: Plan,
    read: Callable[[nn.Module], dict[str, Tensor]],
    *,
    classes: int,
    in_chans: int | None,
    own_chans: int,
    where: str,
) -> tuple[Built, int]:
    """The module with the tensors that `read` gives for it, and how many classes they have.

    `classes`, `own_chans`: what the weights are said to have; the tensors know better. `in_chans`:
    what the module shall have, None for the same. Raises WeightsError for what does not fit.
    """
    built = outline(plan, classes, in_chans or own_chans)
    tensors = _read(read, built.module, where)
    found = _classes_in(tensors, built) or classes
    if found != classes:
        built = outline(plan, found, in_chans or own_chans)
    first = next(stage for stage in built.chain.values() if stage.owns)
    theirs = (in_chans and _channels_in(tensors, built.module, first)) or own_chans
    tensors = _with_ties(tensors, built.module)
    fit = fitted(tensors, built.module, first, (theirs, in_chans or own_chans), where)
    if not why_plain(built.module):
        built.module.load_state_dict(aligned(fit, behind_pool(built.chain)), assign=True)
        check_values(plan, built.module, others=())  # of which it has none, or it were plain
        if plan.device.type != "cpu":
            built.module.to(plan.device)  # counters of batches that the file lacks
    else:
        log.debug("%s is built plainly: not all it has is a checkpoint's", plan.architecture.name)
        built = unseen(plan, found, in_chans or own_chans)
        built.module.load_state_dict(fit)
    return built, found


def _read(
    read: Callable[[nn.Module], dict[str, Tensor]], module: nn.Module, where: str
) -> dict[str, Tensor]:
    try:
        return read(module)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise WeightsError(
            f"{where} is not of this model: its layout cannot be adapted: {text}.",
            hint='"zoo show" has the weights there are.',
        ) from error


def _classes_in(tensors: Mapping[str, Tensor], built: Built) -> int | None:
    """How many classes the checkpoint's own classifier has."""
    weight = tensors.get(f"{classifier(built.module, built.chain)}.weight")
    return int(weight.shape[0]) if weight is not None and weight.ndim else None


def _channels_in(tensors: Mapping[str, Tensor], module: nn.Module, first: Stage) -> int | None:
    """How many channels the checkpoint's own first convolution sees."""
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and first.has(name):
            weight = tensors.get(f"{name}.weight")
            return weight.shape[1] if weight is not None and weight.ndim == 4 else None
    return None


def _with_ties(tensors: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The tensors, with every name of a tied parameter.

    safetensors' save_model writes it under one of its names only.
    """
    named = list(module.named_parameters(remove_duplicate=False))
    held = {id(parameter): tensors[name] for name, parameter in named if name in tensors}
    ties = {name: held[id(p)] for name, p in named if name not in tensors and id(p) in held}
    return {**tensors, **ties}


def aligned(tensors: Mapping[str, Tensor], behind: Stage) -> dict[str, Tensor]:
    """The tensors; the convolutions of a stage begin where torch would let them begin."""
    crooked = [n for n, t in tensors.items() if t.ndim == 4 and t.data_ptr() % ALIGNMENT]
    return {**tensors, **{name: tensors[name].clone() for name in crooked if behind.has(name)}}


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution's weight (out, in, h, w) for another number of input channels.

    One channel: the sum over colours. More: the colours in turn, rescaled so that equal channels
    give equal outputs.
    """
    import torch

    have = weight.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    index = torch.arange(channels, device=weight.device) % have
    return weight.index_select(1, index) * (have / channels)


def fitted(
    tensors: dict[str, Tensor],
    model: nn.Module,
    first: Stage,
    channels: tuple[int, int],
    where: str,
) -> dict[str, Tensor]:
    """The tensors with the shapes and types of the model's own.

    Only the first convolution may differ in channels. `channels`: those of the weights, and those
    of the model. Raises WeightsError that lists what does not fit.
    """
    own = model.state_dict()
    _check_keys(tensors, own, where)
    theirs, ours = channels
    fit: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, tensor in tensors.items():
        want = own[name]
        if tensor.shape != want.shape and _differs_in_channels(tensor, want, theirs, ours):
            if first.has(name):
                tensor = fit_channels(tensor, ours)
        if tensor.shape != want.shape:
            wrong.append(f"{name} is {list(tensor.shape)}, the model has {list(want.shape)}")
        elif want.is_floating_point() and not tensor.is_floating_point():
            wrong.append(f"{name} is {_type(tensor)}, the model has {_type(want)}")
        else:
            fit[name] = tensor if tensor.dtype == want.dtype else tensor.to(want.dtype)
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{where} does not fit: {'; '.join(wrong[:3])}{more}.",
            hint="These weights are of another model or configuration.",
        )
    return fit


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _differs_in_channels(tensor: Tensor, want: Tensor, theirs: int, ours: int) -> bool:
    if tensor.ndim != 4 or want.ndim != 4 or theirs == ours:
        return False
    same = tensor.shape[0] == want.shape[0] and tensor.shape[2:] == want.shape[2:]
    return same and tensor.shape[1] == theirs and want.shape[1] == ours


def _check_keys(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> None:
    unexpected = [name for name in tensors if name not in own]
    # torch itself fills this counter in, for checkpoints from before it existed
    missing = [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")]
    if missing or unexpected:
        parts = [_some("lacks", missing), _some("has unknown", unexpected)]
        raise WeightsError(
            f"{where} is not of this model: it {' and '.join(p for p in parts if p)}.",
            hint='Compare with model.state_dict().keys(); "zoo show" has the weights there are.',
        )


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}"
