"""`zoo regularizers`: list the regularizers, or explain one."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, echo_lines, print_json, print_table
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import WHEN, WHERE, Option, RegularizerSpec

OPTIONS = 2  # as many as a line of the table has room for


@click.command("regularizers")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List regularizers, or show the card of one."""
    known = catalogue()
    chosen = list(known.regularizers().values()) if name is None else [known.regularizer(name)]
    if as_json:
        print_json([_row(spec) for spec in chosen])
    elif name is None:
        rows = [(s.name, s.acts, _own_options(s), s.paper) for s in chosen]
        print_table(("regularizer", "acts", "options", "paper"), rows)
        echo()
        echo("What one does, and what its options mean: zoo regularizers NAME")
    else:
        _show(chosen[0])


def _row(spec: RegularizerSpec) -> dict[str, Any]:
    keep = ("name", "value", "acts", "summary", "paper")
    options = [asdict(option) for option in spec.options]
    return {**{key: getattr(spec, key) for key in keep}, "options": options}


def _own_options(spec: RegularizerSpec) -> str:
    """The first options and their defaults, without those of where and when that most have."""
    own = [option for option in spec.options if option not in (*WHERE, *WHEN)]
    shown = [f"{option.name}={_default(option)}" for option in own[:OPTIONS]]
    return " ".join(shown if len(own) <= OPTIONS else [*shown, "…"])


def _show(spec: RegularizerSpec) -> None:
    """A card: how to write it, what the options mean, what it does exactly, where it is from."""
    echo(f"{spec.name}: {spec.summary} ({spec.acts})")
    echo()
    echo(f"  {_example(spec)}")
    echo()
    rows = [(option.name, _default(option), option.meaning) for option in spec.options]
    print_table(("option", "default", "meaning"), rows)
    details = _details(spec)
    if details:
        echo()
        echo_lines(details)
    if spec.paper:
        echo()
        echo(f"Paper: {spec.paper}")


def _example(spec: RegularizerSpec) -> str:
    value = next((option for option in spec.options if option.name == spec.value), None)
    other = next((option for option in spec.options if option.name != spec.value), None)
    text = spec.name
    if value is not None:
        text += f"={_default(value) if value.default is not None else value.name}"
    if other in WHERE:
        text += ":exclude=head"
    elif other is not None:
        text += f":{other.name}={_default(other)}"
    return f'regularizers=["{text}"]   or   --regularizer {text}'


def _details(spec: RegularizerSpec) -> str:
    """What the class itself says; nothing where it cannot be made without being told more."""
    if any(option.default is None for option in spec.options):
        return ""
    return inspect.getdoc(type(spec.factory())) or ""


def _default(option: Option) -> str:
    if option.default is None:
        return "must be given"
    return str(option.default).lower() if option.default != "" else "-"
