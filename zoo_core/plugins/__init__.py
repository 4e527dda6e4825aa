"""Plugins: loading them, their manifests, the catalogue of what they offer, making new ones."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.plugins.entry_points import load_plugins as load_plugins
    from zoo_core.plugins.manager import Plugin as Plugin
    from zoo_core.plugins.manager import Plugins as Plugins
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "entry_points": "load_plugins",
            "manager": "Plugin Plugins",
        },
    )
