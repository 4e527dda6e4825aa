"""All checks of a plugin, by its name or by that of a model or regularizer that it offers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import torch

from zoo_core.conformance.cases import Case
from zoo_core.conformance.contract import CONTRACT, Check
from zoo_core.conformance.facts import Entry, entry_cases
from zoo_core.conformance.offered import command_cases, regularizer_cases, source_cases
from zoo_core.conformance.package import package_cases
from zoo_core.conformance.specimen import Specimen
from zoo_core.conformance.use import USE
from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.plugins.catalogue import Catalogue, catalogue
from zoo_core.plugins.contributions import Offers, offers
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.manifest import read_manifest
from zoo_core.types import Architecture, InputSpec, ModelInfo, RegularizerSpec, WeightSource

FEW = 3  # models of one architecture
MANY = 6  # architectures of one plugin: more are built for by a table, as timm's


@dataclass(frozen=True)
class Examination:
    """The cases of one plugin or manifest. `left_out`: models that it has and no case looks at."""

    title: str
    cases: tuple[Case, ...]
    models: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def note(self) -> str:
        """Which models are looked at, where not all are."""
        if not self.left_out:
            return ""
        told, every = ", ".join(self.models), self.left_out + len(self.models)
        return f"{len(self.models)} of {every:,} models: {told}. For another, check its name."


@dataclass(frozen=True)
class Wanted:
    """One plugin, and the part of it that a name means: all of it where nothing is named.

    `architecture`: it alone, with its models of that plugin.
    """

    plugin: Plugin
    offered: Offers
    models: list[ModelInfo] = field(default_factory=list)
    regularizers: list[str] = field(default_factory=list)
    architecture: str = ""

    @property
    def whole(self) -> bool:
        return not (self.models or self.regularizers or self.architecture)

    def means(self, architecture: str) -> bool:
        """Whether an architecture is looked at although no model of its plugin has it."""
        return self.whole or architecture == self.architecture


def examinations(name: str) -> list[Examination]:
    """What there is to check about a plugin, a distribution, or a name that a plugin offers.

    `name`: also an architecture, a model or a regularizer, with `DISTRIBUTION:` in front where two
    have it: then only that, and its package. Raises UnknownName with the closest.

    >>> [case.check for case in examinations("zoo_files")[0].cases][:2]
    ['loads', 'requirements']
    """
    known, group = catalogue(), click.Group()
    offered = offers(known, group)
    return [_examination(known, group, wanted) for wanted in _meant(known, offered, name)]


def manifest_examination(path: Path) -> Examination:
    """What there is to check about a manifest that no plugin has yet. Raises ManifestError."""
    models, known = read_manifest(path), catalogue()
    cases = [case for model in models for case in _facts(known, model)]
    return Examination(str(path), tuple(cases), tuple(model.name for model in models))


# --- what a name means ---------------------------------------------------------------------------


def _meant(known: Catalogue, everything: list[tuple[Plugin, Offers]], name: str) -> list[Wanted]:
    whole = [Wanted(p, o) for p, o in everything if name in (p.name, p.distribution)]
    if whole:
        return whole
    owner, _, kind = name.rpartition(":")
    parts = []
    for plugin, offered in everything:
        if owner and plugin.distribution != owner:
            continue
        if kind in offered.regularizers:
            parts.append(Wanted(plugin, offered, regularizers=[kind]))
        if kind in offered.architectures:
            models = [info for info in _models(known, plugin) if info.architecture == kind]
            parts.append(Wanted(plugin, offered, models=models, architecture=kind))
    if parts:
        return parts
    try:
        model = known.find(name).model
    except (UnknownName, PluginError) as error:
        alone = [Wanted(p, o) for p, o in everything if p.name == f"zoo_{name.replace('-', '_')}"]
        if alone:  # of a plugin that offers nothing of its own name
            return alone
        raise _unknown(name, everything, error) from error
    offering = known.offered_by(model)
    return [Wanted(p, o, models=[model]) for p, o in everything if p is offering]


def _models(known: Catalogue, plugin: Plugin) -> list[ModelInfo]:
    every = known.models("*") + known.models("*/*")
    return [model for model in every if known.offered_by(model) is plugin]


def _unknown(
    name: str, everything: list[tuple[Plugin, Offers]], error: UnknownName | PluginError
) -> UnknownName | PluginError:
    if isinstance(error, PluginError):  # two plugins offer it
        return error
    names = {text for plugin, _ in everything for text in (plugin.name, plugin.distribution)}
    for _, offered in everything:
        names |= {*offered.architectures, *offered.models, *offered.regularizers}
    message = f'No plugin, model or regularizer "{name}". {did_you_mean(name, names)}'.strip()
    hint = 'Run "zoo plugins" for what is installed'
    if Path(name).exists():
        hint = f'For what is here, write "./{name}"'
    return UnknownName(message, hint=f"{hint}.")


# --- the cases -----------------------------------------------------------------------------------


def _examination(known: Catalogue, group: click.Group, wanted: Wanted) -> Examination:
    plugin = wanted.plugin
    cases = [*package_cases(plugin)]
    infos = _models(known, plugin) if wanted.whole else wanted.models
    makes = {a.name: a for a, maker in known.makers() if maker is plugin}
    tried, listed = _chosen(infos, makes)
    for info in listed:
        if info in tried:
            cases += specimen_cases(_specimen(known, info))
        cases += _facts(known, info, tried=info in tried)
    built = {info.architecture for info in infos}
    for name in filter(wanted.means, sorted(makes.keys() - built)):  # by its defaults
        cases += specimen_cases(Specimen(makes[name], {}, InputSpec(), name, small=True))
    cases += _others(known, group, wanted)
    names = tuple(known.bare(info) for info in listed)
    return Examination(plugin.title(), tuple(cases), names, len(infos) - len(listed))


def _chosen(
    infos: list[ModelInfo], makes: Mapping[str, Architecture]
) -> tuple[list[ModelInfo], list[ModelInfo]]:
    """The models to try, one or a few of each architecture, and those whose facts are compared.

    Facts alone make a model where somebody else builds it. A table of hundreds is looked at in
    those models only that are tried.
    """
    by_kind: dict[str, list[ModelInfo]] = {}
    for info in infos:
        if info.architecture in makes:
            by_kind.setdefault(info.architecture, []).append(info)
    kinds = list(by_kind)
    if len(kinds) > MANY:
        kinds = kinds[:: max(len(kinds) // MANY, 1)][:MANY]
    tried = [info for kind in kinds for info in _few(by_kind[kind])]
    return tried, infos if len(infos) <= FEW * 10 else tried


def _few(infos: list[ModelInfo]) -> list[ModelInfo]:
    """The default, the smallest and one between, by parameters where they are known."""
    by_size = sorted(infos, key=lambda info: (info.params is None, info.params or 0))
    first = [info for info in infos if info.default][:1]
    few = [*first, by_size[0], by_size[len(by_size) // 2]]
    return list({info.name: info for info in few}.values())[:FEW]


def specimen_cases(
    specimen: Specimen, checks: Mapping[str, Check] = CONTRACT | USE
) -> Iterator[Case]:
    """The cases of one model: random numbers stay as they are."""

    def look(check: Check) -> str | None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return check(specimen)

    name = specimen.name or specimen.architecture.name
    for check, function in checks.items():
        yield Case(name, check, functools.partial(look, function))


def _specimen(known: Catalogue, info: ModelInfo) -> Specimen:
    name = known.bare(info)
    return Specimen(known.architecture(info), info.config, info.input, name, small=True)


def _facts(known: Catalogue, info: ModelInfo, *, tried: bool = False) -> Iterator[Case]:
    try:
        architecture = known.architecture(info)
    except PluginError as error:
        yield Case(info.name, "architecture", functools.partial(_raise, error))
        return
    name = known.bare(info) if info.distribution else info.name
    yield from entry_cases(name, Entry(info, architecture, tried))


def _raise(error: Exception) -> None:
    raise error


def _others(known: Catalogue, group: click.Group, wanted: Wanted) -> Iterable[Case]:
    """Regularizers, weight sources and commands."""
    plugin, cases = wanted.plugin, list[Case]()
    for owner, spec in known.plugins.results("zoo_regularizers", RegularizerSpec):
        if owner is plugin and (wanted.whole or spec.name in wanted.regularizers):
            cases += regularizer_cases(spec)
    if wanted.whole:
        for owner, source in known.plugins.results("zoo_weight_sources", WeightSource):
            cases += source_cases(source) if owner is plugin else ()
        cases += command_cases(wanted.offered.commands, group)
    return cases
