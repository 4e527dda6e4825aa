"""The five hooks: everything that a plugin can add to zoo. All are optional, all return values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from zoo_core.types import Architecture, RegularizerSpec, WeightSource

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_architectures() -> list[Architecture]:  # type: ignore[empty-body]
    """Families of networks that this plugin builds.

    Called once, when the catalogue is first needed. `build` of each is called with `num_classes`
    and `in_chans`, both 1 or more, and with those of its other arguments that the manifest's
    `config` or create() gives. What zoo does by itself, and what never reaches it:

    - `num_classes=0` and a new head, by replacing the layer that `head` owns; `in_chans` other than
      the weights' own, by adapting their first convolution.
    - `pretrained`, `freeze_until`, `device`, `dtype` are create()'s own. Weights come from a
      manifest; `build` fetches and loads none.
    - `img_size`, where `build` has an argument of that name, is also the size of the pictures:
      a side, or height and width. `model.input` and all that follows it take that size.
    - it is called on the meta device, too, where tensors have no values.

    docs/hooks/zoo_architectures.md has the whole list.
    """


@hookspec
def zoo_manifests() -> list[Path]:  # type: ignore[empty-body]
    """Files with models and weights: `.toml`, or generated `.json` of the same schema.

    Called once, when the catalogue is first needed.
    """


@hookspec
def zoo_regularizers() -> list[RegularizerSpec]:  # type: ignore[empty-body]
    """Regularizers by name. Called when one is asked for, or listed."""


@hookspec
def zoo_weight_sources() -> list[WeightSource]:  # type: ignore[empty-body]
    """Places where weights come from, by scheme. Called when weights are first fetched."""


@hookspec
def zoo_commands(group: click.Group) -> None:
    """More commands for `zoo`: add them to `group`.

    Called when the command line starts with an unknown command or help.
    """
