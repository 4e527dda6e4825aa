"""The catalogue: what every installed plugin offers, by name. No torch here, so that listing the zoo is quick.

A bare name that two plugins offer is an error that names both; `distribution:name` always works; an official name
cannot be taken over.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_core.errors import ManifestError, PluginError, UnknownName, did_you_mean
from zoo_core.manifest import read_manifest
from zoo_core.plugins import BUILT_IN, Plugin, Plugins, load_plugins
from zoo_core.types import Architecture, ModelInfo, RegularizerSpec, WeightsInfo, WeightSource


@dataclass(frozen=True)
class Named:
    """What a name means: a model, and the weights that the name itself asks for."""

    model: ModelInfo
    weights: WeightsInfo | None


class Catalogue:
    """Models, architectures, regularizers and sources of a set of plugins."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self._architectures: dict[tuple[str, str], Architecture] = {}
        self._models: dict[tuple[str, str], ModelInfo] = {}
        self._read_architectures()
        self._read_models()
        self._record_clashes()

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read_architectures(self) -> None:
        for plugin, architecture in self.plugins.results("zoo_architectures", Architecture):
            key = (plugin.distribution, architecture.name)
            if key in self._architectures:
                self.plugins.fault(plugin, f'offers the architecture "{architecture.name}" twice.')
            else:
                self._architectures[key] = architecture

    def _read_models(self) -> None:
        for model in read_manifest(official_manifest()):
            self._models[BUILT_IN, model.name] = replace(model, distribution=BUILT_IN, official=True)
        for plugin, path in self.plugins.results("zoo_manifests", Path):
            try:
                models = read_manifest(path)
            except ManifestError as error:
                self.plugins.fault(plugin, f"has a broken manifest: {error}", error)
                continue
            for model in models:
                self._add(plugin, model)

    def _add(self, plugin: Plugin, model: ModelInfo) -> None:
        key = (plugin.distribution, model.name)
        if key in self._models:
            self.plugins.fault(plugin, f'offers the model "{model.name}" twice.')
            return
        self._models[key] = replace(model, plugin=plugin.name, distribution=plugin.distribution)

    def _record_clashes(self) -> None:
        by_distribution = {plugin.distribution: plugin for plugin in self.plugins.all}
        for name in sorted({name for _, name in self._models}):
            owners = [d for d, other in self._models if other == name]
            if len(owners) < 2:
                continue
            for distribution in owners:
                if distribution == BUILT_IN:
                    continue
                others = " and ".join(o for o in owners if o != distribution)
                self.plugins.fault(
                    by_distribution[distribution],
                    f'offers "{name}", which {others} offers too: write "{distribution}:{name}".',
                )

    # --- looking up ------------------------------------------------------------------------------------------------

    def models(self, pattern: str | None = None) -> list[ModelInfo]:
        """Models whose name matches `pattern` (shell wildcards), in natural order; official ones and third parties'."""
        found = [model for model in self._models.values() if _matches(self.bare(model), pattern)]
        return sorted(found, key=lambda m: (not m.official, natural(self.bare(m))))

    def bare(self, model: ModelInfo) -> str:
        """The shortest name that means this model and no other."""
        owners = [d for d, name in self._models if name == model.name]
        if len(owners) == 1 or model.official:
            return model.name
        return f"{model.distribution}:{model.name}"

    def find(self, name: str) -> Named:
        """The model (and weights) behind `resnet`, `resnet50`, `resnet50.a1_in1k` or `zoo-acme:thing`.

        Raises UnknownName with the closest names, PluginError where two plugins offer the bare name.
        """
        distribution, _, rest = name.rpartition(":")
        base, _, tag = rest.partition(".")
        model = self._family_or_model(base, distribution, name)
        return Named(model, self.weights(model, tag) if tag else None)

    def _family_or_model(self, base: str, distribution: str, name: str) -> ModelInfo:
        candidates = [
            model
            for (owner, _), model in self._models.items()
            if distribution in ("", owner)
            and (model.name == base or (model.default and model.architecture == base))
        ]
        exact = [model for model in candidates if model.name == base] or candidates
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
        names = {self.bare(model) for model in self._models.values()}
        names |= {model.architecture for model in self._models.values() if model.default}
        broken = "".join(
            f" The plugin {plugin.title()} is broken and might have had it: run \"zoo plugins\"."
            for plugin in self.plugins.broken
            if not plugin.hooks
        )
        near = did_you_mean(name.partition(".")[0], names)
        return UnknownName(f'No model "{name}". {near}'.strip() + broken, hint='Run "zoo list" for all of them.')

    def weights(self, model: ModelInfo, tag: str) -> WeightsInfo:
        """The weights `tag` of a model, or UnknownName with the tags there are."""
        if tag in model.weights:
            return model.weights[tag]
        have = f"It has: {', '.join(model.weights)}." if model.weights else "It has none."
        raise UnknownName(f'{model.name} has no weights "{tag}". {did_you_mean(tag, model.weights)} {have}')

    def architecture(self, model: ModelInfo) -> Architecture:
        """What builds a model: its own distribution's architecture, else the official one, else the only one."""
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
            hint='Run "zoo plugins" to see what is installed and what is broken.',
        )

    def regularizers(self) -> dict[str, RegularizerSpec]:
        """All regularizers by name."""
        found: dict[str, RegularizerSpec] = {}
        for plugin, spec in self.plugins.results("zoo_regularizers", RegularizerSpec):
            if spec.name in found:
                self.plugins.fault(plugin, f'offers the regularizer "{spec.name}", which is taken.')
            else:
                found[spec.name] = spec
        return dict(sorted(found.items()))

    def source(self, scheme: str) -> WeightSource:
        """The source for a scheme such as `file`, or UnknownName with those there are."""
        found = {s.scheme: s for _, s in reversed([*self.plugins.results("zoo_weight_sources", WeightSource)])}
        if scheme in found:
            return found[scheme]
        have = ", ".join(f"{s}:" for s in sorted(found))
        raise UnknownName(f'No installed plugin fetches from "{scheme}:". Installed: {have}.')


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue of this process, read once. `catalogue.cache_clear()` after installing a plugin."""
    return Catalogue(load_plugins())


def list_models(pattern: str | None = None) -> list[str]:
    """Names of models that match `pattern` (shell wildcards; default: all but `timm/…`), official ones first.

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
    """The official registry.toml: beside this file in an installed wheel, one folder up in a checkout."""
    here = Path(__file__).parent
    installed = here / "registry.toml"
    return installed if installed.exists() else here.parent / "registry.toml"


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which resnet18 comes before resnet101.

    >>> sorted(["resnet101", "resnet18", "alexnet"], key=natural)
    ['alexnet', 'resnet18', 'resnet101']
    """
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return not name.startswith("timm/")
    return fnmatch.fnmatchcase(name, pattern)
