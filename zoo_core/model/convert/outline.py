"""A model as somebody's checkpoint must fit it: names, shapes, and which of these may differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from zoo_core.errors import WeightsError, ZooError
from zoo_core.humanize import one_line
from zoo_core.model import build
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import Architecture, ModelInfo, Stage


@dataclass(frozen=True)
class Outline:
    """A model without values. `own`: its state dict, in order.

    `head`, `stem`: its last stage, and the first one that has weights.
    """

    info: ModelInfo
    architecture: Architecture
    module: nn.Module
    own: dict[str, Tensor]
    head: Stage
    stem: Stage

    def fits(self, name: str, tensor: Tensor) -> bool:
        """Whether a tensor can be `name` of this model, with any number of classes and channels."""
        if name not in self.own:
            return False
        have, want = list(tensor.shape), list(self.own[name].shape)
        if len(have) != len(want):
            return False
        if self.head.has(name) and want and want[0] == self.info.num_classes:
            have[0] = want[0]
        if name == self.first:
            have[1] = want[1]
        return have == want

    @cached_property
    def first(self) -> str | None:
        """The weight of the first convolution."""
        return next((n for n, t in self.own.items() if self.stem.has(n) and t.ndim == 4), None)

    def classes_in(self, tensors: dict[str, Tensor]) -> int:
        """How many classes a checkpoint's classifier has; the model's own number without one."""
        main = Stage("head", run=(), owns=self.head.owns[:1])  # auxiliary heads come after it
        weights = [n for n, t in self.own.items() if main.has(n) and t.ndim > 1]
        weight = tensors.get(weights[-1]) if weights else None
        return max(len(weight), 1) if weight is not None and weight.ndim else self.info.num_classes

    def channels_in(self, tensors: dict[str, Tensor]) -> int:
        """How many channels a checkpoint's first convolution sees."""
        weight = tensors.get(self.first) if self.first else None
        usual = self.info.input.size[0]
        return max(weight.shape[1], 1) if weight is not None and weight.ndim == 4 else usual

    def built(self, classes: int, channels: int) -> nn.Module:
        """The model with values, drawn without touching torch's random numbers."""
        return _made(build.unseen, self.info, classes, channels).module


def outline(info: ModelInfo) -> Outline:
    """The outline of a model. Raises WeightsError where its architecture cannot build it."""
    module, chain = _made(build.outline, info, info.num_classes, info.input.size[0])
    stem = next((stage for stage in chain.values() if stage.owns), chain["head"])
    architecture = catalogue().architecture(info)
    return Outline(info, architecture, module, module.state_dict(), chain["head"], stem)


def _made(
    make: Callable[[build.Plan, int, int], build.Built],
    info: ModelInfo,
    classes: int,
    channels: int,
) -> build.Built:
    architecture = catalogue().architecture(info)
    maker = catalogue().maker(architecture)
    plan = build.Plan(architecture, info.config, torch.device("cpu"), maker=maker)
    try:
        return make(plan, classes, channels)
    except ZooError as error:
        raise WeightsError(
            f"{info.name} cannot be built with {classes} classes and {channels} channels: "
            f"{one_line(error.__cause__ or error)}."
        ) from error


def gives_numbers(module: nn.Module, size: tuple[int, int, int]) -> bool:
    """Whether a black picture gives finite scores, in eval mode."""
    with torch.inference_mode():
        scores = module.eval()(torch.zeros(1, *size))
    return math.isfinite(float(scores.double().sum()))
