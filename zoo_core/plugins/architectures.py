"""The architectures of all plugins: which one builds a model, and whose it is."""

from __future__ import annotations

from zoo_core.errors import PluginError
from zoo_core.plugins.manager import BUILT_IN, Plugin, Plugins
from zoo_core.plugins.unknown import unknown_architecture
from zoo_core.types import Architecture, ModelInfo

Key = tuple[str, str]  # distribution, name


class Architectures:
    """Architectures by distribution and name; two distributions may have the same name."""

    def __init__(self, plugins: Plugins) -> None:
        """Asks all plugins; one that offers a name twice has that as a fault."""
        self._architectures: dict[Key, Architecture] = {}
        self._makers: dict[Key, Plugin] = {}
        for plugin, architecture in plugins.results("zoo_architectures", Architecture):
            key = (plugin.distribution, architecture.name)
            if key in self._architectures:
                plugins.fault(plugin, f'offers the architecture "{architecture.name}" twice.')
            else:
                self._architectures[key], self._makers[key] = architecture, plugin

    def building(self, model: ModelInfo) -> Architecture:
        """The architecture of a model: its own distribution's, else zoo's own, else the only one.

        Raises PluginError where nobody offers it, or several others do.
        """
        for distribution in (model.distribution, BUILT_IN):
            key = (distribution, model.architecture)
            if key in self._architectures:
                return self._architectures[key]
        others = [key for key in self._architectures if key[1] == model.architecture]
        if not others:
            raise unknown_architecture(model, [name for _, name in self._architectures])
        if len(others) > 1:
            clash = " and ".join(sorted(distribution for distribution, _ in others))
            raise PluginError(
                f'The architecture "{model.architecture}" of {model.name} is offered by {clash}.'
            )
        return self._architectures[others[0]]

    def maker_of(self, key: Key) -> Plugin | None:
        """The plugin of a distribution that has an architecture."""
        return self._makers.get(key)

    def third_party(self, architecture: Architecture) -> Plugin | None:
        """Whose it is, where it is not zoo's own."""
        own = (key for key, known in self._architectures.items() if known is architecture)
        return next((self._makers[key] for key in own if key[0] != BUILT_IN), None)

    def with_makers(self) -> list[tuple[Architecture, Plugin]]:
        """Every architecture with the plugin that it comes from."""
        return [(known, self._makers[key]) for key, known in self._architectures.items()]
