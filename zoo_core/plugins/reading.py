"""All manifests, that of zoo and those of plugins, read into one index of models."""

from __future__ import annotations

from pathlib import Path

from zoo_core.errors import ManifestError, described
from zoo_core.plugins.calling import timed
from zoo_core.plugins.clashes import record_clashes
from zoo_core.plugins.manager import BUILT_IN, FAULTS, Plugins
from zoo_core.plugins.manifest import load_manifest
from zoo_core.plugins.model_index import ListedModels


def official_manifest() -> Path:
    """The official registry.toml: in the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "registry.toml"
    return installed if installed.exists() else package.parent / "registry.toml"


def read_models(plugins: Plugins, official: Path) -> ListedModels:
    """The models of `official` and of all plugins.

    A plugin's manifest that is broken, or names a model that is there already, is its fault.
    """
    models = ListedModels()
    models.add(load_manifest(official), BUILT_IN, official=True)
    for plugin, path in plugins.results("zoo_manifests", Path):
        try:
            with timed(plugin, "to read its manifest"):
                manifest = load_manifest(path)
        except ManifestError as error:
            plugins.fault(plugin, f"has a broken manifest: {error}", error)
            continue
        except Exception as error:  # what else a stranger's file can bring about is its own fault
            plugins.fault(plugin, f"has a broken manifest: {path}: {described(error)}", error)
            continue
        for name in models.add(manifest, plugin.distribution, plugin=plugin.name)[:FAULTS]:
            plugins.fault(plugin, f'offers the model "{name}" twice.')
    record_clashes(plugins, models)
    return models
