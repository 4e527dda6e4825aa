"""zoo regularizers"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo_core.catalogue import catalogue
from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import print_json, print_table
from zoo_core.errors import UnknownName, did_you_mean
from zoo_core.types import Option, RegularizerSpec


@click.command("regularizers")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List regularizers, or show the options of one."""
    known = catalogue().regularizers()
    if name is not None and name not in known:
        message = f'No regularizer "{name}". {did_you_mean(name, known)}'.strip()
        raise UnknownName(message, hint=f"There is: {', '.join(known)}.")
    chosen = list(known.values()) if name is None else [known[name]]
    if as_json:
        print_json([_row(spec) for spec in chosen])
    elif name is None:
        rows = [(spec.name, spec.acts, spec.summary) for spec in chosen]
        print_table(("regularizer", "acts", "what it does"), rows)
    else:
        _show(chosen[0])


def _row(spec: RegularizerSpec) -> dict[str, Any]:
    keep = ("name", "value", "acts", "summary", "paper")
    options = [asdict(option) for option in spec.options]
    return {**{key: getattr(spec, key) for key in keep}, "options": options}


def _show(spec: RegularizerSpec) -> None:
    click.echo(f"{spec.name}: {spec.summary} ({spec.acts})\n")
    rows = [(option.name, _default(option), option.meaning) for option in spec.options]
    print_table(("option", "default", "meaning"), rows)
    if spec.value is not None:
        value = next(option.default for option in spec.options if option.name == spec.value)
        click.echo(f'\nWrite "{spec.name}={value}" for {spec.value}; more options follow a colon.')
    if spec.paper:
        click.echo(f"Paper: {spec.paper}")


def _default(option: Option) -> str:
    return "must be given" if option.default is None else str(option.default).lower()
