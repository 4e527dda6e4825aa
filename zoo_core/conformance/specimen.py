"""A model under examination: built when first asked for, with weights that hide nothing."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.conformance.cases import NotHere, expect
from zoo_core.errors import ZooError
from zoo_core.model.answers import head_fault, inputs_fault, scores_fault
from zoo_core.model.arguments import checked_config
from zoo_core.model.build import Plan, without_weights
from zoo_core.model.facts import Origin
from zoo_core.model.zoo_model import ZooModel, as_zoo_model
from zoo_core.plugins.catalogue import catalogue
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
        maker = catalogue().maker(self.architecture)
        return Plan(self.architecture, self.config, torch.device("cpu"), maker=maker)

    @property
    def model(self) -> ZooModel:
        """The one model that checks share; each leaves it as it found it.

        Raises NotHere where it cannot be had: an earlier check tells why.
        """
        outcome = attempt(self)
        if outcome.model is None:
            raise NotHere(f'not looked at: see "{outcome.failed}".')
        for module in outcome.model.unfreeze().modules():
            module.training = False
        return outcome.model

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
    own, name, plan = specimen.own, specimen.architecture.name, specimen.plan
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            checked_config(specimen.architecture, ModelInfo(name, name), specimen.config)
            changes = plan.maker.changes if plan.maker else []
            known = len(changes)
            built = without_weights(plan, CLASSES, own.size[0])
            told = f"Building it changes {', '.join(changes[known:])}: put back what you set."
            expect(len(changes) == known, told)
            wrong = inputs_fault(built.module) or head_fault(built.module, built.chain)
            expect(not wrong, wrong)
            spec = _smallest(built.module, own) if specimen.small else own
            _are_scores(takes_pictures(built.module, spec))
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
        x = torch.randn(2, *spec.size)
        try:
            _are_scores(_show_everything(model, x), " in train mode")
        except AssertionError as error:
            return Attempt(spec, failed="builds", error=error)
        except Exception as error:
            fault = AssertionError(f"forward() fails in train mode: {error}")
            fault.__cause__ = error
            return Attempt(spec, failed="builds", error=fault)
        for check, holds in (("determinism", _repeats), ("deepcopy", _can_be_copied)):
            try:
                holds(model, x)
            except AssertionError as error:  # what else is checked would fail for the same reason
                return Attempt(spec, None, count, check, error)
        return Attempt(spec, model, count)


def _are_scores(scores: Any, when: str = "") -> None:
    fault = scores_fault(scores, when)
    expect(not fault, fault)


def _repeats(model: ZooModel, x: Tensor) -> None:
    model.eval()
    with torch.no_grad():
        equal = torch.equal(model(x.clone()), model(x.clone()))
    fault = "In eval mode two forward passes of the same pictures give different scores"
    advice = "dropout by function needs training=self.training"
    expect(equal, f"{fault}: {advice}.")


def _can_be_copied(model: ZooModel, x: Tensor) -> None:
    try:
        copy.deepcopy(model)
    except Exception as error:
        attribute = _uncopied(model)
        culprit = f"{attribute} of the model" if attribute else "The model"
        advice = "make it in forward(), or keep it outside of the model"
        raise AssertionError(f"{culprit} cannot be copied: {error}: {advice}.") from error


def _uncopied(model: nn.Module) -> str:
    """The attribute that cannot be copied, by its path."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            try:
                copy.deepcopy(value)
            except Exception:
                return f"{path}.{name}".removeprefix(".")
    return ""


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


def scores_of(model: nn.Module, x: Tensor) -> Tensor:
    """The scores in eval mode; `x` stays as it is."""
    model.eval()
    with torch.no_grad():
        return model(x.clone())


def takes_pictures(module: nn.Module, spec: InputSpec) -> Any:
    """What comes out for two pictures. Raises AssertionError where they do not go in."""
    arguments = f"in_chans={spec.size[0]}, num_classes={CLASSES}"
    try:
        with torch.no_grad():
            return module.eval()(torch.randn(2, *spec.size))
    except (RuntimeError, ValueError) as error:
        fault = f"build({arguments}) takes no pictures of shape {tuple(spec.size)}: {error}"
        advice = "Is in_chans passed on to the first layer, and the input in the manifest right?"
        raise AssertionError(f"{fault.rstrip('.')}. {advice}") from error


def _as_exception(error: BaseException) -> Exception:
    """What went wrong; the hint of an error of zoo's would lead to this very check."""
    if not isinstance(error, ZooError | SystemExit):
        return error  # type: ignore[return-value]
    message = error.message if isinstance(error, ZooError) else "build() ends the process."
    fault = AssertionError(message)
    fault.__cause__ = error
    return fault


def _show_everything(model: ZooModel, x: Tensor) -> Any:
    """Values that hide no difference, as a head of zeros or signals that fade on their way would.

    Constant parameters get noise, and running statistics those of these pictures. Returns what
    comes out for them in train mode.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for parameter in model.parameters():
            if bool((parameter == parameter.flatten()[:1]).all()):
                parameter.add_(torch.rand_like(parameter), alpha=0.1)  # above 0, as ReLU needs it
        for norm in norms:
            norm.momentum = 1.0
        scores = model.train()(x.clone())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return scores
