"""What is to be built of a model: its architecture, and the arguments that make it that model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo_core.model.arguments import checked_config
from zoo_core.model.build import Plan
from zoo_core.model.shown import sides_of
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import ModelInfo


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
    arguments = {**info.config, **checked_config(architecture, info, config)}
    maker, size = catalogue().maker(architecture), sides_of(arguments) or info.input.size[1:]
    return Plan(architecture, arguments, device, dtype, maker, size)
