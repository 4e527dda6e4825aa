"""zoo regularizers"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo_core.catalogue import catalogue
from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import print_json, print_table
from zoo_core.errors import UnknownName, did_you_mean
from zoo_core.types import RegularizerSpec


@click.command("regularizers")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List regularizers, or show the options of one."""
    known = catalogue().regularizers()
    if name is not None and name not in known:
        near = did_you_mean(name, known)
        raise UnknownName(
            f'No regularizer "{name}". {near}'.strip(), hint=f"There is: {', '.join(known)}."
        )
    chosen = list(known.values()) if name is None else [known[name]]
    if as_json:
        print_json([_row(spec) for spec in chosen])
    elif name is None:
        print_table(
            ("regularizer", "acts", "what it does"), [(s.name, s.acts, s.summary) for s in chosen]
        )
    else:
        _show(chosen[0])


def _row(spec: RegularizerSpec) -> dict[str, Any]:
    keep = ("name", "value", "acts", "summary", "paper")
    return {key: getattr(spec, key) for key in keep} | {
        "options": [asdict(option) for option in spec.options]
    }


def _show(spec: RegularizerSpec) -> None:
    click.echo(f"{spec.name}: {spec.summary} ({spec.acts})\n")
    rows = [
        (o.name, "must be given" if o.default is None else str(o.default).lower(), o.meaning)
        for o in spec.options
    ]
    print_table(("option", "default", "meaning"), rows)
    if spec.value is not None:
        default = next(o.default for o in spec.options if o.name == spec.value)
        click.echo(
            f'\nWrite "{spec.name}={default}" for {spec.value}; more options follow a colon.'
        )
    if spec.paper:
        click.echo(f"Paper: {spec.paper}")
