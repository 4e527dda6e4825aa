"""What a network takes and gives: one batch of pictures, one tensor between stages, one of scores.

A function here returns a sentence that says what does not hold and what to change, or "".
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.errors import first_line
from zoo_core.humanize import some
from zoo_core.model.head import gives_scores, head_layers, outputs
from zoo_core.types import Stage

ONE_TENSOR = "what is between two stages must be one tensor"
Size = tuple[int, int, int]  # channels, height, width
_Parameter = inspect.Parameter


# --- what can be seen without a picture ----------------------------------------------------------


def inputs_fault(module: nn.Module) -> str:
    """Whether forward() needs more, or less, than a batch of pictures."""
    wanted = _wanted(module.forward)
    if wanted is None:
        return f"forward() of {type(module).__name__} takes nothing: it must take the pictures."
    if len(wanted) < 2:
        return ""
    return (
        f"forward() of {type(module).__name__} wants {len(wanted)} inputs, {some(wanted)}: zoo "
        "gives a network one, a batch of pictures. Give the others defaults, or make them inside."
    )


def _wanted(function: Callable[..., Any]) -> list[str] | None:
    """The arguments that must be given; None where it takes none at all."""
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    many = (_Parameter.VAR_POSITIONAL, _Parameter.VAR_KEYWORD)
    needed = [p.name for p in taken if p.default is p.empty and p.kind not in many]
    given = [p for p in taken if p.kind not in (_Parameter.KEYWORD_ONLY, _Parameter.VAR_KEYWORD)]
    return needed if given else None


def head_fault(module: nn.Module, chain: Mapping[str, Stage]) -> str:
    """Whether new classes cannot have a head of their own, since the old one is no layer."""
    layers = head_layers(module, chain)
    owned = [path for path in chain["head"].owns if _is_parameter(module, path)]
    counts = {outputs(layer) for layer in layers.values()}  # which its size follows, or does not
    bare = [p for p in owned if not counts or counts & {*module.get_parameter(p).shape}]
    if not bare:
        return "" if layers else _module_fault(module, chain["head"])
    parent = bare[0].rpartition(".")[0]
    if gives_scores(module.get_submodule(parent)):
        return f'The head owns {some(bare)}: it must own the layer, owns=("{parent}",).'
    beside = f" beside {some(list(layers))}" if layers else ""
    what = f"the bare parameter {bare[0]}" if len(bare) == 1 else f"bare parameters, {some(bare)}"
    return (
        f"The head has {what}{beside}: zoo puts new classes in the place of an nn.Linear or "
        "nn.Conv2d. Make it one such layer, and let adapt() rename what older checkpoints have."
    )


def _module_fault(module: nn.Module, head: Stage) -> str:
    """Whether a head has weights, and neither a layer that is replaced nor a way to a new one."""
    weights = [name for name, _ in module.named_parameters() if head.has(name)]
    if not weights or head.reset is not None:
        return ""
    path = weights[0].rpartition(".")[0]
    kind = type(module.get_submodule(path)).__name__
    return (
        f"The head has {weights[0]} of {path}, a {kind}: zoo puts new classes in the place of an "
        "nn.Linear or nn.Conv2d. Make it one such layer, or give the Stage a reset(model, "
        "num_classes) that puts another head there and returns the stages."
    )


def step_fault(module: nn.Module, stage: Stage) -> str:
    """Whether something in `run` of a stage cannot be called with one tensor."""
    for step in stage.run:
        if not isinstance(step, str):
            name, wanted = getattr(step, "__name__", "a function"), _wanted(step)
            if wanted is None or len(wanted) > 2 or not _binds(step):
                told = ", ".join(wanted or ())
                return f'"{stage.name}" runs {name}({told}): a function in run takes (model, x).'
            continue
        if _is_parameter(module, step):
            return (
                f'"{stage.name}" runs {step}, a bare parameter, which cannot be called: write a '
                f'function (model, x) that uses it, and owns=("{step}",).'
            )
        try:
            part = module.get_submodule(step)
        except AttributeError:
            return (
                f'"{stage.name}" runs {step}, which is no module: write a function (model, x) '
                f"that calls model.{step}."
            )
        wanted = [] if isinstance(part, nn.Identity) else _wanted(part.forward) or []
        if len(wanted) > 1:
            return (
                f'"{stage.name}" runs {step}, whose forward() wants {len(wanted)} inputs, '
                f"{some(wanted)}: {ONE_TENSOR}. Write a function (model, x) that calls it, and "
                "keep what belongs together in one stage."
            )
    return ""


def _binds(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def _is_parameter(module: nn.Module, path: str) -> bool:
    try:
        return isinstance(module.get_parameter(path), nn.Parameter)
    except AttributeError:
        return False


# --- what comes out ------------------------------------------------------------------------------


def told(value: Any) -> str:
    """What a value is, for a sentence.

    >>> told({"out": 1, "aux": 2}), told((1, 2)), told(None)
    ('a dict with out and aux', 'a tuple of 2', 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    article = "an" if kind[:1] in "AEIOUaeiou" else "a"
    if isinstance(value, Mapping) and value:
        return f"{article} {kind} with {' and '.join(str(key) for key in list(value)[:4])}"
    return (
        f"{article} {kind} of {len(value)}"
        if isinstance(value, list | tuple)
        else f"{article} {kind}"
    )


def scores_fault(scores: Any, when: str = "", *, count: int = 2) -> str:
    """Whether what forward() gives for so many pictures is no tensor of (pictures, classes)."""
    if not isinstance(scores, Tensor):
        advice = "return the scores alone, here and in train mode"
        return f"forward() must give one tensor of scores{when}, not {told(scores)}: {advice}."
    shape = tuple(scores.shape)
    if len(shape) == 2 and shape[0] == count:
        return ""
    pictures = "two pictures" if count == 2 else f"{count} picture{'s' * (count > 1)}"
    wanted = "scores must be of shape (pictures, classes)"
    gives = f"forward() gives {{}} of shape {shape} for {pictures}{when}"
    if shape[:1] != (count,) or len(shape) < 2 or len(shape) > 4:
        return f"{gives.format('a tensor')}: {wanted}."
    if all(side == 1 for side in shape[2:]):
        return f"{gives.format('scores')}: {wanted}, so flatten them."
    each = "place of a picture, as for segmentation" if len(shape) == 4 else "token"
    return (
        f"{gives.format('dense outputs')}, an answer for each {each}: zoo's models classify whole "
        "pictures. Pool before the head, or offer the encoder with a classifier."
    )


def boundary_fault(
    module: nn.Module, chain: Mapping[str, Stage], x: Any, *, any_error: bool
) -> str:
    """Which stage does not pass one tensor on, or does not take what the one before gives.

    `any_error`: also one that is no matter of what a boundary is, but of sizes.
    """
    for stage in chain.values():
        fault = step_fault(module, stage)
        if fault:
            return fault
        shape = tuple(x.shape)
        try:
            x = run_stages(module, [stage], x.clone())
        except Exception as error:
            advice = "Is a step missing in stages(), such as a flatten, or a whole stage,"
            advice += " or is the order another than in forward()?"
            fault = f'"{stage.name}" does not take {shape}: {first_line(error)}. {advice}'
            return fault if any_error else ""
        if not isinstance(x, Tensor):
            advice = "Put the stages that pass more on into one, up to where it is joined"
            if stage.name == "head":
                advice = "Let it end with the scores"
            return f'"{stage.name}" gives {told(x)}: {ONE_TENSOR}. {advice}.'
    return ""


# --- before anybody has it -----------------------------------------------------------------------


def answers_fault(module: nn.Module, chain: Mapping[str, Stage], size: Size) -> str:
    """What a person would else meet later, in training or freezing. Sizes are not looked at.

    A copy without values is asked, which costs a few milliseconds; a network that needs values
    to answer is asked itself, where it has some.
    """
    fault = inputs_fault(module) or head_fault(module, chain)
    fault = fault or next(filter(None, (step_fault(module, s) for s in chain.values())), "")
    if fault:
        return fault
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            with torch.device("meta"):
                return _asked(_outline_of(module), chain, size)
        except (Exception, SystemExit):  # it looks at values, or cannot be copied
            return _asked_itself(module, chain, size)


def _asked(module: nn.Module, chain: Mapping[str, Stage], size: Size) -> str:
    x = _pictures(module, size)
    scores = module.eval()(x.clone())
    fault = scores_fault(scores) or boundary_fault(module, chain, x.clone(), any_error=False)
    return fault or scores_fault(module.train()(x.clone()), " in train mode")


def _asked_itself(module: nn.Module, chain: Mapping[str, Stage], size: Size) -> str:
    if any(parameter.is_meta for parameter in module.parameters()):
        return ""
    modes = [(part, part.training) for part in module.modules()]
    x = _pictures(module, size)
    try:
        fault = scores_fault(module.eval()(x.clone()))
        return fault or boundary_fault(module, chain, x, any_error=False)
    except (Exception, SystemExit):  # "zoo plugins check" looks at it from closer by
        return ""
    finally:
        for part, mode in modes:
            part.training = mode


def _pictures(module: nn.Module, size: Size) -> Tensor:
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(2, *size, device=like.device, dtype=like.dtype)


def _outline_of(module: nn.Module) -> nn.Module:
    """A copy whose tensors have no values."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), False)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)
