"""Arguments that several commands share."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from typing import Any

import click

from zoo_core.cli.names import MODEL

# Arguments of create() that are none of an architecture: most have an option of their own.
OTHERS = {
    *("name", "pretrained", "num_classes", "labels", "freeze_until", "device", "dtype", "config"),
    *("features_only", "out_indices"),
}


def model_argument() -> Callable[[Any], Any]:
    """The argument that names a model or a run's folder."""
    return click.argument("model", metavar="MODEL", type=MODEL)


def as_config(
    context: click.Context, option: click.Parameter, typed: Iterable[str]
) -> dict[str, Any]:
    """NAME=VALUE, as often as it was typed; a value is what TOML reads in it, else text."""
    config: dict[str, Any] = {}
    for text in typed:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise click.BadParameter(f'"{text}" is not NAME=VALUE.', context, option)
        if name in OTHERS:
            raise click.BadParameter(f"{name} is no argument of an architecture.", context, option)
        if name in config:
            raise click.BadParameter(f"{name} is there twice.", context, option)
        try:
            config[name] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, KeyError):
            config[name] = value
    return config


config_option = click.option(
    "--config",
    multiple=True,
    metavar="NAME=VALUE",
    callback=as_config,
    help="An argument of the architecture, such as img_size=64. May be repeated.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
