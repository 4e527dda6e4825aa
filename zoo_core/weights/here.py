"""Which weights are on this machine: asked of each source as if there were no network."""

from __future__ import annotations

from zoo_core.cache import cache_folder
from zoo_core.errors import ZooError
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import ModelInfo, WeightsInfo
from zoo_core.weights.lock import pin_of
from zoo_core.weights.pickles import conversion_of
from zoo_core.weights.sources import MODEL_FILE, shelf, split_reference


def names_here() -> list[str]:
    """Names of models whose weights are on this machine: `lenet5`, and `lenet5.fashion_mnist`.

    The default weights go by the bare name; nothing is fetched.
    """
    known = catalogue()
    return [
        known.bare(model) if weights.default else f"{known.bare(model)}.{weights.tag}"
        for model in (*known.models(), *_with_prefix())
        for weights in model.weights.values()
        if is_here(weights)
    ]


def is_here(weights: WeightsInfo) -> bool:
    """Whether weights can be had with no network, as far as their source knows."""
    scheme, rest = split_reference(weights.source)
    try:
        pin = None if weights.sha256 else pin_of(weights.source)
        digest = pin.sha256 if pin else weights.sha256
        if digest is not None and conversion_of(digest) is not None:
            return True
        if shelf(weights.source, MODEL_FILE).is_file():
            return True
        source = catalogue().source(scheme)
        found = source.fetch(rest, MODEL_FILE, cache=cache_folder(), offline=True, progress=False)
        return found.path.is_file()
    except (ZooError, OSError):  # it is not here, or not whole
        return False


def _with_prefix() -> list[ModelInfo]:
    """Models that are listed on request only."""
    known = catalogue()
    return [model for prefix in known.prefixes() for model in known.models(f"{prefix}/*")]
