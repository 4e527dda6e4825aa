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

    Called once, when the catalogue is first needed.
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
