"""How what is between the stages of a model that is there already is pooled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from zoo_core.errors import ZooError
from zoo_core.model.boundaries import Chain, Networks, Pooling, poolings
from zoo_core.model.keep_until import outlines
from zoo_core.model.plan import architecture_of
from zoo_core.model.sizes import for_build
from zoo_core.model.zoo_model import ZooModel
from zoo_core.weights.part import KEEP_UNTIL


def poolings_of(model: ZooModel) -> Mapping[str, Pooling | str]:
    """For each stage but the first, how what enters it is pooled, or why that is not sure.

    By outlines of its architecture, which take no time to speak of; where it is another by now, or
    that is not known here, by passes of a few pictures through the model itself, which stays as it
    is.

    >>> import zoo_core as zoo
    >>> poolings_of(zoo.create("lenet5"))["fc1"]
    Pooling(axes=(2, 3), width=16, skip=0)
    """
    size, later = model.input.size, list(model.chain)[1:]
    try:
        networks = _outlines(model)
    except ZooError:  # its architecture is of a plugin that is not here
        networks = None
    if networks is None or _shapes(*networks(None)) != _shapes(model, model.chain):
        return poolings(lambda sides: _itself(model, sides), size, later)
    return poolings(networks, size, later)


def _outlines(model: ZooModel) -> Networks:
    architecture = architecture_of(model.info, model.origin.config)
    given = {key: value for key, value in model.origin.config.items() if key != KEEP_UNTIL}
    config = {**model.info.config, **for_build(architecture, given)}
    return outlines(architecture, config, model.input.size[0], (model, model.chain))


def _shapes(module: nn.Module, chain: Chain) -> dict[str, torch.Size]:
    """The shapes of all that is before the head."""
    state = module.state_dict()
    return {name: state[name].shape for name in state if not chain["head"].has(name)}


def _itself(model: ZooModel, sides: tuple[int, int] | None) -> tuple[nn.Module, Chain]:
    if sides is not None:
        raise ZooError("It has the size that it has.")
    return model, model.chain
