"""What is to be built of a model: its architecture, and the arguments that make it that model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo_core.model.arguments import checked_config
from zoo_core.model.build import Plan
from zoo_core.model.keep_until import part_of
from zoo_core.model.sizes import NAME, for_build, sides_of
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import Architecture, ModelInfo
from zoo_core.weights.part import KEEP_UNTIL


def plan_of(
    info: ModelInfo,
    config: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> Plan:
    """The plan for a model with these arguments of a person.

    Raises UnknownName, ZooError for arguments that it does not have, and PluginError.
    """
    architecture = catalogue().architecture(info)
    given = {name: value for name, value in config.items() if name != KEEP_UNTIL}
    own = for_build(architecture, given)
    arguments = {**info.config, **checked_config(architecture, info, own)}
    maker, sides = catalogue().maker(architecture), sides_of({**info.config, **given}.get(NAME))
    size = sides or info.input.size[1:]
    if KEEP_UNTIL in config:
        architecture = part_of(architecture, config[KEEP_UNTIL], arguments, size)
    return Plan(architecture, arguments, device, dtype, maker, size, sides)


def architecture_of(info: ModelInfo, config: Mapping[str, Any]) -> Architecture:
    """What builds a model that was made with such arguments: its architecture, or a part of it."""
    return plan_of(info, config, torch.device("cpu")).architecture
