"""A model under examination: built when first asked for, with weights that hide nothing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.assembly import Plan, without_weights
from zoo_core.conformance.cases import NotHere
from zoo_core.errors import ZooError
from zoo_core.model import Origin, ZooModel, as_zoo_model
from zoo_core.types import Architecture, InputSpec, ModelInfo

CLASSES = 7


@dataclass(frozen=True, eq=False)
class Specimen:
    """An architecture with its arguments, and the pictures that it is tried on.

    `name`: of the model, where it is an installed one. `own`: the input that it is for. `small`:
    the pictures may be smaller than that, where the network takes such, for speed.
    """

    architecture: Architecture
    config: Mapping[str, Any]
    own: InputSpec
    name: str = ""
    small: bool = False

    @property
    def input(self) -> InputSpec:
        """The pictures that it is tried on."""
        return attempt(self).input

    @property
    def plan(self) -> Plan:
        return Plan(self.architecture, self.config, torch.device("cpu"))

    @property
    def model(self) -> ZooModel:
        """The one model that checks share; each leaves it as it found it.

        Raises NotHere where it cannot be had: an earlier check tells why.
        """
        found = attempt(self)
        if found.model is None:
            raise NotHere(f'not looked at: see "{found.failed}".')
        for module in found.model.unfreeze().modules():
            module.training = False
        return found.model

    @property
    def x(self) -> Tensor:
        """Two random pictures, (2, C, H, W), always the same."""
        return torch.randn(2, *self.input.size, generator=torch.Generator().manual_seed(0))

    def fresh(self, spec: InputSpec | None = None) -> nn.Module:
        """The module as `build` makes it: create() itself would change heads."""
        return without_weights(self.plan, CLASSES, (spec or self.input).size[0]).module


@dataclass(frozen=True)
class Attempt:
    """What came of building a specimen: the model, or the check that failed, and its error."""

    input: InputSpec
    model: ZooModel | None = None
    parameters: int = 0
    failed: str = ""
    error: Exception | None = None

    def check(self, name: str) -> None:
        """Raise what went wrong at this check, or NotHere after an earlier one."""
        if self.error is not None and self.failed == name:
            raise self.error
        if self.failed == "builds":
            raise NotHere('not looked at: see "builds".')


@functools.lru_cache(maxsize=1)  # one model in memory at a time
def attempt(specimen: Specimen) -> Attempt:
    """Build a specimen, once."""
    own, name = specimen.own, specimen.architecture.name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            built = without_weights(specimen.plan, CLASSES, own.size[0])
            spec = _smallest(built.module, own) if specimen.small else own
            takes_pictures(built.module, spec)
        except (Exception, SystemExit) as error:
            return Attempt(own, failed="builds", error=_as_exception(error))
        count = sum(p.numel() for p in built.module.parameters())
        try:
            model = as_zoo_model(
                built.module,
                chain=built.chain,
                info=ModelInfo(name, name),
                origin=Origin(name, specimen.config, None, None, CLASSES, own.size[0]),
                input=spec,
                labels=None,
            )
        except ZooError as error:
            return Attempt(spec, None, count, "no attribute shadowed", error)
        try:
            _show_everything(model, torch.randn(2, *spec.size))
        except Exception as error:
            fault = AssertionError(f"forward() fails in train mode: {error}")
            fault.__cause__ = error
            return Attempt(spec, failed="builds", error=fault)
        return Attempt(spec, model, count)


def _smallest(module: nn.Module, own: InputSpec) -> InputSpec:
    """A quarter or half of the size of pictures, where these are large and the network takes it."""
    channels, height, width = own.size
    for part in (4, 2):
        spec = replace(own, size=(channels, height // part, width // part))
        if min(spec.size[1:]) >= 32:
            with contextlib.suppress(Exception), torch.no_grad():
                module.eval()(torch.randn(2, *spec.size))
                return spec
    return own


def takes_pictures(module: nn.Module, spec: InputSpec) -> Any:
    """What comes out for two pictures. Raises AssertionError where they do not go in."""
    given = f"in_chans={spec.size[0]}, num_classes={CLASSES}"
    try:
        with torch.no_grad():
            return module.eval()(torch.randn(2, *spec.size))
    except (RuntimeError, ValueError) as error:
        fault = f"build({given}) takes no pictures of shape {tuple(spec.size)}: {error}"
        advice = "Is in_chans passed on to the first layer, and the input in the manifest right?"
        raise AssertionError(f"{fault.rstrip('.')}. {advice}") from error


def _as_exception(error: BaseException) -> Exception:
    """What went wrong; the hint of an error of zoo's would lead to this very check."""
    if not isinstance(error, ZooError | SystemExit):
        return error  # type: ignore[return-value]
    told = error.message if isinstance(error, ZooError) else "build() ends the process."
    fault = AssertionError(told)
    fault.__cause__ = error
    return fault


def _show_everything(model: ZooModel, x: Tensor) -> None:
    """Values that hide no difference, as a head of zeros or signals that fade on their way would.

    Constant parameters get noise, and running statistics those of these pictures.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for parameter in model.parameters():
            if bool((parameter == parameter.flatten()[:1]).all()):
                parameter.add_(torch.rand_like(parameter), alpha=0.1)  # above 0, as ReLU needs it
        for norm in norms:
            norm.momentum = 1.0
        model.train()(x.clone())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
