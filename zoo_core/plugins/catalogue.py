"""The catalogue: what every installed plugin offers, by name.

No torch here, so that listing the zoo is quick. A bare name that two plugins offer is an error
that names both; `distribution:name` always works; an official name cannot be taken over.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import os
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from zoo_core.errors import ManifestError, PluginError, UnknownName, did_you_mean
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import BUILT_IN, Plugin, Plugins
from zoo_core.plugins.manifest import load_manifest
from zoo_core.plugins.model_index import ListedModels
from zoo_core.types import Architecture, ModelInfo, RegularizerSpec, WeightsInfo, WeightSource

Offer = TypeVar("Offer")


@dataclass(frozen=True)
class Named:
    """What a name means: a model, and the weights that the name itself asks for."""

    model: ModelInfo
    weights: WeightsInfo | None


class Catalogue:
    """Models, architectures, regularizers and sources of a set of plugins."""

    def __init__(self, plugins: Plugins, official: Path | None = None) -> None:
        """`official`: the manifest of the official models, by default the registry.toml of zoo."""
        self.plugins = plugins
        self._official = official or official_manifest()
        self._architectures: dict[tuple[str, str], Architecture] = {}
        self._makers: dict[tuple[str, str], Plugin] = {}
        self._models = ListedModels()
        self._read_architectures()
        self._read_models()
        self._record_clashes()

    # --- reading ---------------------------------------------------------------------------------

    def _read_architectures(self) -> None:
        for plugin, architecture in self.plugins.results("zoo_architectures", Architecture):
            key = (plugin.distribution, architecture.name)
            if key in self._architectures:
                self.plugins.fault(plugin, f'offers the architecture "{architecture.name}" twice.')
            else:
                self._architectures[key], self._makers[key] = architecture, plugin

    def _read_models(self) -> None:
        self._models.add(load_manifest(self._official), BUILT_IN, official=True)
        for plugin, path in self.plugins.results("zoo_manifests", Path):
            try:
                manifest = load_manifest(path)
            except ManifestError as error:
                self.plugins.fault(plugin, f"has a broken manifest: {error}", error)
                continue
            for name in self._models.add(manifest, plugin.distribution, plugin=plugin.name):
                self.plugins.fault(plugin, f'offers the model "{name}" twice.')

    def _record_clashes(self) -> None:
        several = {n: owners for n, owners in self._models.owners.items() if len(owners) > 1}
        for name, owners in sorted(several.items()):
            for distribution in owners:
                if distribution != BUILT_IN:
                    others = " and ".join(owner for owner in owners if owner != distribution)
                    clash = f'offers the model "{name}", which {others} offers too'
                    self._fault(
                        self._models[distribution, name],
                        f'{clash}: write "{distribution}:{name}".',
                    )

    def _fault(self, model: ModelInfo, message: str) -> None:
        """Record a fault of the plugin that a model came from."""
        for plugin in self.plugins.all:
            if (plugin.name, plugin.distribution) == (model.plugin, model.distribution):
                self.plugins.fault(plugin, message)

    def _named(self, what: str, offers: Iterable[tuple[Plugin, str, Offer]]) -> dict[str, Offer]:
        """What plugins offer, by name.

        Official names stay official; others that clash need their distribution.
        """
        found: dict[str, dict[str, tuple[Plugin, Offer]]] = {}
        for plugin, name, offer in offers:
            owners = found.setdefault(name, {})
            if plugin.distribution in owners:
                self.plugins.fault(plugin, f'offers the {what} "{name}" twice.')
            else:
                owners[plugin.distribution] = (plugin, offer)
        named: dict[str, Offer] = {}
        for name, owners in found.items():
            for distribution, (plugin, offer) in owners.items():
                if len(owners) == 1 or distribution == BUILT_IN:
                    named[name] = offer
                    continue
                others = " and ".join(owner for owner in owners if owner != distribution)
                fault = f'offers the {what} "{name}", which {others} offers too.'
                self.plugins.fault(plugin, fault)
                named[f"{distribution}:{name}"] = offer
        return dict(sorted(named.items()))

    def examine(self) -> list[Plugin]:
        """All plugins, with all of their faults.

        Asks for what is else asked for only when needed.
        """
        self.regularizers()
        self.sources()
        self.examine_models(self._models.values())
        return self.plugins.all

    def examine_models(self, models: Iterable[ModelInfo]) -> None:
        """Record a fault of the plugin that has a model which nobody builds."""
        for model in models:
            try:
                self.architecture(model)
            except PluginError as error:
                self._fault(model, f"has a model that cannot be built: {error.message}")

    # --- looking up ------------------------------------------------------------------------------

    def models(self, pattern: str | None = None) -> list[ModelInfo]:
        """Models that match `pattern`, official ones first, in natural order.

        `pattern`: a name with shell wildcards, or an architecture. Names with a prefix (`timm/…`)
        match only a pattern that has one.
        """
        listed = self._models
        found = [
            listed[key]
            for key in listed
            if _matches(listed.bare(key), listed.architecture(key), pattern)
        ]
        return sorted(found, key=lambda m: (not m.official, natural(self.bare(m))))

    def bare(self, model: ModelInfo) -> str:
        """The shortest name that means this model and no other."""
        return self._models.bare((model.distribution, model.name))

    def find(self, name: str) -> Named:
        """The model (and weights) of `resnet`, `resnet50`, `resnet50.a1_in1k` or `zoo-acme:thing`.

        Raises UnknownName with the closest names, PluginError where two plugins offer the bare
        name.
        """
        distribution, _, rest = name.rpartition(":")
        base, dot, tag = rest.partition(".")
        model = self._family_or_model(base, distribution, name)
        return Named(model, self.weights(model, tag) if dot else None)

    def _family_or_model(self, base: str, distribution: str, name: str) -> ModelInfo:
        listed = self._models
        named = [(owner, base) for owner in listed.owners.get(base, ())]
        family = [key for key in listed.defaults() if listed.architecture(key) == base]
        within = [[k for k in keys if distribution in ("", k[0])] for keys in (named, family)]
        exact = [listed[key] for key in within[0] or within[1]]
        official = [model for model in exact if model.official]
        if official:
            return official[0]
        if len(exact) > 1:
            full = " or ".join(f'"{model.distribution}:{model.name}"' for model in exact)
            raise PluginError(f'More than one plugin offers "{name}".', hint=f"Write {full}.")
        if not exact:
            raise self._unknown(name)
        return exact[0]

    def _unknown(self, name: str) -> UnknownName:
        distribution, _, rest = name.rpartition(":")
        wanted = name.removesuffix("." + rest.partition(".")[2])
        listed = self._models
        names = {listed.bare(key) for key in listed}
        names |= {listed.architecture(key) for key in listed.defaults()}
        if distribution:
            names |= {":".join(key) for key in listed}
        names = {other for other in names if _comparable(other, wanted)}
        meant = next((other for other in names if other.endswith(f"/{wanted}")), wanted)
        message = [f'No model "{name}".', did_you_mean(meant, names)]
        for plugin in self.plugins.broken:
            unread = any(fault.startswith("has a broken manifest") for fault in plugin.faults)
            if unread or not plugin.hooks:
                message.append(f"The plugin {plugin.title()} is broken and might have had it.")
        if name and os.path.isdir(name):  # noqa: PTH112, a Path may raise here
            raise UnknownName(f'No model "{name}".', hint=f'For the folder here, write "./{name}".')
        prefix = wanted.rpartition("/")[0]
        within = prefix and any(other.startswith(f"{prefix}/") for other in names)
        command = f"zoo list '{prefix}/*'" if within else "zoo list"
        hint = f'Run "{command}" for all models'
        hint += ', "zoo plugins" for what is broken.' if len(message) > 2 else "."
        hint = _who_has(wanted, "models", "architectures") or hint
        return UnknownName(" ".join(part for part in message if part), hint=hint)

    def weights(self, model: ModelInfo, tag: str) -> WeightsInfo:
        """The weights `tag` of a model, or UnknownName with the tags there are."""
        if tag in model.weights:
            return model.weights[tag]
        have = f"It has: {', '.join(model.weights)}." if model.weights else "It has none."
        near = did_you_mean(tag, model.weights)
        raise UnknownName(f'{model.name} has no weights "{tag}". {near}'.strip(), hint=have)

    def architecture(self, model: ModelInfo) -> Architecture:
        """What builds a model.

        Its own distribution's architecture, else the official one, else the only one.
        """
        name = model.architecture
        for distribution in (model.distribution, BUILT_IN):
            if (distribution, name) in self._architectures:
                return self._architectures[distribution, name]
        others = [(d, a) for (d, n), a in self._architectures.items() if n == name]
        if len(others) == 1:
            return others[0][1]
        if others:
            clash = " and ".join(sorted(d for d, _ in others))
            raise PluginError(f'The architecture "{name}" of {model.name} is offered by {clash}.')
        near = did_you_mean(name, [n for _, n in self._architectures])
        raise PluginError(
            f'No installed plugin builds the architecture "{name}" of {model.name}. {near}'.strip(),
            hint=_who_has(name, "architectures")
            or 'Run "zoo plugins" to see what is installed and what is broken.',
        )

    def maker(self, architecture: Architecture) -> Plugin | None:
        """The third party's plugin that an architecture comes from; None for one of zoo's own."""
        made = (plugin for known, plugin in self.makers() if known is architecture)
        return next((plugin for plugin in made if not plugin.built_in), None)

    def makers(self) -> list[tuple[Architecture, Plugin]]:
        """Every architecture with the plugin that it comes from."""
        return [(known, self._makers[key]) for key, known in self._architectures.items()]

    def offered_by(self, model: ModelInfo) -> Plugin | None:
        """The plugin whose manifest has a model, or that builds it where it is an official one."""
        if not model.plugin:
            return self._makers.get((model.distribution, model.architecture))
        of = (model.plugin, model.distribution)
        return next((p for p in self.plugins.all if (p.name, p.distribution) == of), None)

    def regularizers(self) -> dict[str, RegularizerSpec]:
        """All regularizers by name.

        One that two distributions offer is there as `distribution:name`.
        """
        specs = self.plugins.results("zoo_regularizers", RegularizerSpec)
        return self._named("regularizer", ((plugin, spec.name, spec) for plugin, spec in specs))

    def regularizer(self, name: str) -> RegularizerSpec:
        """The regularizer of this name. Raises UnknownName with the closest."""
        known = self.regularizers()
        if name not in known:
            message = f'No regularizer "{name}". {did_you_mean(name, known)}'.strip()
            hint = _who_has(name, "regularizers") or f"There is: {', '.join(known)}."
            raise UnknownName(message, hint=hint)
        return known[name]

    def sources(self) -> dict[str, WeightSource]:
        """All weight sources by scheme."""
        sources = self.plugins.results("zoo_weight_sources", WeightSource)
        return self._named(
            "weight source", ((plugin, source.scheme, source) for plugin, source in sources)
        )

    def publisher(self, scheme: str) -> WeightSource | None:
        """The source for a scheme where it can be pushed to, else None."""
        source = self.sources().get(scheme)
        return source if source is not None and source.push is not None else None

    def source(self, scheme: str) -> WeightSource:
        """The source for a scheme such as `file`.

        Raises UnknownName with those there are, PluginError for a clash.
        """
        found = self.sources()
        if scheme in found:
            return found[scheme]
        clash = [name.partition(":")[0] for name in found if name.endswith(f":{scheme}")]
        if clash:
            raise PluginError(
                f'The weight source "{scheme}:" is offered by {" and ".join(clash)}.',
                hint="Uninstall one of them, or name the plugins to load in ZOO_PLUGINS.",
            )
        have = ", ".join(f"{name}:" for name in found)
        raise UnknownName(f'No installed plugin fetches from "{scheme}:". Installed: {have}.')


_chosen: ContextVar[Catalogue | None] = ContextVar("catalogue", default=None)


def catalogue() -> Catalogue:
    """The catalogue in use: that of `using_catalogue`, else of what is installed, read once."""
    return _chosen.get() or _installed()


@contextlib.contextmanager
def using_catalogue(known: Catalogue) -> Iterator[Catalogue]:
    """`known` is the catalogue inside."""
    token = _chosen.set(known)
    try:
        yield known
    finally:
        _chosen.reset(token)


@functools.cache
def _installed() -> Catalogue:
    return Catalogue(load_plugins())


def list_models(pattern: str | None = None) -> list[str]:
    """Names of models that match `pattern`, official ones first.

    `pattern`: a name with shell wildcards, or a family. None: all but `timm/…`.

    >>> list_models("resnet18*")
    ['resnet18', 'resnet18d']
    """
    known = catalogue()
    return [known.bare(model) for model in known.models(pattern)]


def info(name: str) -> ModelInfo:
    """The facts about a model: parameters, input, weights, licence, paper. Raises UnknownName.

    >>> info("resnet").name
    'resnet50'
    """
    return catalogue().find(name).model


def official_manifest() -> Path:
    """The official registry.toml: in the package in a wheel, beside it in a checkout."""
    here = Path(__file__).parent.parent
    installed = here / "registry.toml"
    return installed if installed.exists() else here.parent / "registry.toml"


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which resnet18 comes before resnet101.

    >>> sorted(["resnet101", "resnet18", "alexnet"], key=natural)
    ['alexnet', 'resnet18', 'resnet101']
    """
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _who_has(name: str, *kinds: str) -> str:
    """A plugin that would have had a name: the directory of known ones is read only then."""
    from zoo_core.plugins.known import who_has

    return who_has(name, *kinds)


def _comparable(name: str, wanted: str) -> bool:
    """Whether a model may be meant by another name: those with a prefix, if it has the same one, or
    if it is theirs without it."""
    prefix, slash, rest = name.rpartition("/")
    return not slash or wanted == rest or wanted.startswith(f"{prefix}/")


def _matches(name: str, architecture: str, pattern: str | None) -> bool:
    if "/" in name and "/" not in (pattern or ""):
        return False
    return pattern is None or pattern == architecture or fnmatch.fnmatchcase(name, pattern)
