"""The tensors of a checkpoint -> a module that holds them: classes, channels, ties and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import behind_pool
from zoo_core.errors import WeightsError
from zoo_core.humanize import one_line
from zoo_core.model.build import Built, Plan, check_values, log, outline, unseen, why_plain
from zoo_core.model.head import classifier
from zoo_core.types import Stage
from zoo_core.weights.channels import channels_in, with_channels
from zoo_core.weights.tensors import ALIGNMENT, COUNTER, misfit, with_ties


def with_weights(
    plan: Plan,
    read: Callable[[nn.Module], dict[str, Tensor]],
    *,
    classes: int,
    in_chans: int | None,
    own_chans: int,
    source: str,
    headless: bool = False,
    advice: Callable[[], str] = str,
) -> tuple[Built, int]:
    """The module with the tensors that `read` gives for it, and how many classes they have.

    `classes`, `own_chans`: what the weights are said to have; the tensors know better. `in_chans`:
    what the module shall have, None for the same. `headless`: whether the weights may have no
    classifier, as those of self-supervised training. `advice`: what to do where the names are not
    the module's. Raises WeightsError for what does not fit.
    """
    built = outline(plan, classes, in_chans or own_chans)
    tensors = _read(read, built.module, source)
    actual = _classes_in(tensors, built) or classes
    if actual and _lacks_all(tensors, built.module, built.chain["head"]):
        if not headless:
            raise _no_classifier(source)
        actual = 0
    if actual != classes:
        built = outline(plan, actual, in_chans or own_chans)
    first = next(stage for stage in built.chain.values() if stage.owns)
    theirs = (in_chans and channels_in(tensors, built.module, first)) or own_chans
    tensors = with_ties(tensors, built.module)
    _check_keys(tensors, built.module.state_dict(), source, advice)
    fit = fitted(tensors, built.module, first, (theirs, in_chans or own_chans), source)
    if not why_plain(built.module):
        built.module.load_state_dict(aligned(fit, behind_pool(built.chain)), assign=True)
        check_values(plan, built.module, others=())  # of which it has none, or it were plain
        if plan.device.type != "cpu":
            built.module.to(plan.device)  # counters of batches that the file lacks
    else:
        log.debug("%s is built plainly: not all it has is a checkpoint's", plan.architecture.name)
        built = unseen(plan, actual, in_chans or own_chans)
        built.module.load_state_dict(fit)
    return built, actual


def _read(
    read: Callable[[nn.Module], dict[str, Tensor]], module: nn.Module, source: str
) -> dict[str, Tensor]:
    try:
        return read(module)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        text = one_line(error)
        raise WeightsError(
            f"{source} is not of this model: its layout cannot be adapted: {text}.",
            hint='"zoo show" has the weights there are.',
        ) from error


def _lacks_all(tensors: Mapping[str, Tensor], module: nn.Module, head: Stage) -> bool:
    """Whether the tensors have none of the head's, and some of what comes before it."""
    own = module.state_dict()
    theirs = any(head.has(name) for name in tensors)  # its own, or another head in its place
    return not theirs and any(map(head.has, own)) and bool(own.keys() & tensors.keys())


def _no_classifier(source: str) -> WeightsError:
    return WeightsError(
        f"{source} has no classifier: it holds only what comes before one.",
        hint="Say how many classes shall be told apart: num_classes=N gives a new head, "
        "num_classes=0 none, for features.",
    )


def _classes_in(tensors: Mapping[str, Tensor], built: Built) -> int | None:
    """How many classes the checkpoint's own classifier has."""
    weight = tensors.get(f"{classifier(built.module, built.chain)}.weight")
    return int(weight.shape[0]) if weight is not None and weight.ndim else None


def aligned(tensors: Mapping[str, Tensor], behind: Stage) -> dict[str, Tensor]:
    """The tensors; the convolutions of a stage begin where torch would let them begin."""
    crooked = [n for n, t in tensors.items() if t.ndim == 4 and t.data_ptr() % ALIGNMENT]
    return {**tensors, **{name: tensors[name].clone() for name in crooked if behind.has(name)}}


def fitted(
    tensors: dict[str, Tensor],
    model: nn.Module,
    first: Stage,
    channels: tuple[int, int],
    source: str,
) -> dict[str, Tensor]:
    """The tensors with the shapes and types of the model's own.

    Only the first convolution may differ in channels. `channels`: those of the weights, and those
    of the model. Raises WeightsError that lists what does not fit.
    """
    own = model.state_dict()
    if channels[0] != channels[1]:
        tensors = with_channels(tensors, model, first, channels)
    wrong = [fault for name, t in tensors.items() if (fault := misfit(name, t, own[name]))]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{source} does not fit: {'; '.join(wrong[:3])}{more}.",
            hint="These weights are of another model or configuration.",
        )
    return {
        name: tensor if tensor.dtype == own[name].dtype else tensor.to(own[name].dtype)
        for name, tensor in tensors.items()
    }


def _check_keys(
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    source: str,
    advice: Callable[[], str],
) -> None:
    unexpected = [name for name in tensors if name not in own]
    unexpected.sort(key=lambda name: name.endswith(COUNTER))
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTER)]
    if missing or unexpected:
        parts = [_some("lacks", missing), _some("has unknown", unexpected)]
        raise WeightsError(
            f"{source} is not of this model: it {' and '.join(p for p in parts if p)}.",
            hint=advice(),
        )


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}"
