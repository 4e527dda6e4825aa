"""timm's networks, built and loaded as timm does it."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from zoo_core.errors import did_you_mean
from zoo_core.humanize import one_line, readable_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from zoo_core.types import Stage


def rates(**given: float | None) -> dict[str, Any]:
    """Rates of dropping, by name. Raises ValueError for one out of [0, 1); None is timm's own.

    >>> rates(drop_rate=0.2, drop_path_rate=None)
    {'drop_rate': 0.2, 'drop_path_rate': None}
    """
    for name, rate in given.items():
        if rate is not None and not 0 <= rate < 1:
            raise ValueError(f"{name} must be in [0, 1): {rate}")
    return given


def network(variant: str, **arguments: Any) -> nn.Module:
    """The network of that name without weights; arguments that are None are left to timm.

    Raises ValueError for a name that timm does not have, and for an argument that its class does
    not take. `img_size` is for those that are built for one size, and others do without.
    """

    refuse_unknown(variant)
    if variant.startswith("csatv2") and arguments.get("in_chans", 3) != 3:
        raise ValueError(
            f"{variant} takes pictures of 3 channels only: it begins with their colours"
        )
    arguments = {name: value for name, value in arguments.items() if value is not None}
    unpooled = arguments.get("global_pool") == ""
    if unpooled:
        del arguments["global_pool"]
    try:
        model = _created(variant, **arguments)
    except TypeError as error:
        fault = str(error).partition("__init__() ")[2]
        raise ValueError(f"{variant}: {fault or error}") from error
    if unpooled:
        _without_pooling(model, variant)
    for module in model.modules():
        if hasattr(module, "attention_bias_cache"):
            fresh: Any = functools.partial(attention_biases, module)
            module.get_attention_biases = fresh
    return model


def _created(variant: str, **arguments: Any) -> Any:
    """timm's create_model, without `img_size` where the class takes pictures of any."""
    import timm

    try:
        return timm.create_model(variant, **arguments)
    except TypeError as error:
        if "img_size" not in arguments or "'img_size'" not in str(error):
            raise
    del arguments["img_size"]
    return timm.create_model(variant, **arguments)


def _without_pooling(model: Any, variant: str) -> None:
    """Take the pooling away and leave the classifier, which zoo takes off itself.

    timm takes both or none, and then nothing would say what a new classifier looks like.
    """
    last = model.get_classifier()
    paths = [name for name, module in model.named_modules() if module is last]
    if not paths:
        raise ValueError(f"{variant} has several classifiers, and needs its pooling")
    try:
        model.reset_classifier(0, "")
    except (AssertionError, TypeError) as error:
        raise ValueError(f"{variant} cannot go without pooling: {one_line(error)}") from error
    parent, _, name = paths[0].rpartition(".")
    setattr(model.get_submodule(parent), name, last)


def features_of(model: Any, config: Mapping[str, Any], how: Mapping[str, Any]) -> nn.Module:
    """What timm makes of `features_only=True`, with the weights of the model.

    `config`: how the model was built; what is of its head has no say. `how`: `out_indices` and
    other arguments that timm has for features.
    """
    import torch

    first = next(model.parameters())
    arguments = {name: config[name] for name in OF_THE_BODY if config.get(name) is not None}
    weights = {
        "state_dict": model.state_dict(),
        "num_classes": model.num_outputs,  # so that the head is dropped
        "first_conv": None,  # it has the channels already
    }
    with torch.random.fork_rng(devices=[]), _nothing_missing(model.chain["head"]):
        network: Any = _created(
            config["variant"],
            pretrained=True,
            pretrained_cfg_overlay=weights,
            in_chans=model.origin.in_chans,
            features_only=True,
            **arguments,
            **how,
        )
    for told in (network.pretrained_cfg, network.default_cfg):
        told["state_dict"] = None
    return network.to(device=first.device, dtype=first.dtype).train(model.training)


@contextlib.contextmanager
def _nothing_missing(head: Stage) -> Iterator[None]:
    """Raise ValueError for weights that timm only notes it has not found, but for a head's."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    log = logging.getLogger("timm.models._builder")
    level = log.level
    log.addFilter(keep)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeFilter(keep)
    noted = [_MISSING.match(text) for text in said]
    names = [name for match in noted if match for name in match[1].split(", ")]
    missing = [name for name in names if not head.has(name)]
    if missing:
        raise ValueError(f"its body lacks {', '.join(missing[:3])}")


_MISSING = re.compile(r"Missing keys \((.*)\)")

OF_THE_BODY = ("drop_path_rate", "img_size")


def refuse_unknown(variant: str) -> None:
    """Raise ValueError for all that is no plain name of timm's, with the closest that are.

    timm would take `hf-hub:OWNER/NAME` for another's configuration, and fetch it to build what that
    says; `local-dir:PATH` likewise; and a tag behind a dot for weights.
    """
    import timm

    if not timm.is_model(variant) or "." in variant:
        near = did_you_mean(variant[:100], timm.list_models())
        shown = readable_name(variant)[:100]
        raise ValueError(f'timm {timm.__version__} has no "{shown}". {near}'.strip())


def attention_biases(module: Any, device: torch.device) -> Tensor:
    """The biases of an attention, made anew.

    LeViT and its kin keep them in eval mode until the next call of `train()`, with the graph or
    without, as they were first asked for. What feeds a stage, and a copy, would then depend on it.
    """
    biases: Tensor = module.attention_biases[:, module.attention_bias_idxs]
    return biases


def in_timms_layout(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors under timm's names, where the module of the class knows the layout."""
    own = model.state_dict()
    if tensors.keys() == own.keys() and all(t.shape == own[n].shape for n, t in tensors.items()):
        return tensors
    module = sys.modules[type(model).__module__]
    change = getattr(module, "checkpoint_filter_fn", None)
    return dict(change(tensors, model)) if change is not None else tensors
