"""The regularizers that come with zoo, one file each; what they are called is in `specs`."""

from __future__ import annotations

from zoo_core.hookspecs import hookimpl
from zoo_core.types import RegularizerSpec
from zoo_regularizers.specs import activations, batches, gradients, training, weights


@hookimpl
def zoo_regularizers() -> list[RegularizerSpec]:
    places = (weights, gradients, activations, batches, training)
    return [spec for place in places for spec in place.SPECS]
