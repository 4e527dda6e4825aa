"""A model as a checkpoint must fit it.

Names and shapes, and which of them classes and channels decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import WeightsError
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
        found = tensors.get(weights[-1]) if weights else None
        return max(len(found), 1) if found is not None and found.ndim else self.info.num_classes

    def channels_in(self, tensors: dict[str, Tensor]) -> int:
        """How many channels a checkpoint's first convolution sees."""
        found = tensors.get(self.first) if self.first else None
        usual = self.info.input.size[0]
        return max(found.shape[1], 1) if found is not None and found.ndim == 4 else usual

    def built(self, classes: int, channels: int) -> nn.Module:
        """The model with values, drawn without touching torch's random numbers."""
        with torch.random.fork_rng(devices=[]):
            return _build(self.architecture, self.info, classes, channels)


def outline(info: ModelInfo) -> Outline:
    """The outline of a model. Raises WeightsError where its architecture cannot build it."""
    architecture = catalogue().architecture(info)
    classes, channels = info.num_classes, info.input.size[0]
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                module = _build(architecture, info, classes, channels)
        except WeightsError:  # some need values while they are built
            module = _build(architecture, info, classes, channels)
    stages = architecture.stages(module)
    stem = next((stage for stage in stages if stage.owns), stages[-1])
    return Outline(info, architecture, module, module.state_dict(), stages[-1], stem)


def _build(architecture: Architecture, info: ModelInfo, classes: int, channels: int) -> nn.Module:
    config: dict[str, Any] = dict(info.config)
    try:
        return architecture.build(num_classes=classes, in_chans=channels, **config)
    except Exception as error:  # a plugin's code
        text = " ".join(str(error).split())
        raise WeightsError(
            f"{info.name} cannot be built with {classes} classes and {channels} channels: {text}."
        ) from error


def gives_numbers(module: nn.Module, size: tuple[int, int, int]) -> bool:
    """Whether a black picture gives finite scores, in eval mode."""
    with torch.inference_mode():
        scores = module.eval()(torch.zeros(1, *size))
    return math.isfinite(float(scores.double().sum()))
