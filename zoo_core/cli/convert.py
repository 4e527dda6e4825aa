"""`zoo convert FILE --model NAME`: somebody's checkpoint as safetensors."""

from __future__ import annotations

from typing import Any

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo_lines, note, print_json


class Pair(click.ParamType):
    """OLD=NEW."""

    name = "pair"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        old, equals, new = str(value).partition("=")
        if not equals:
            self.fail(f"{value} should be OLD=NEW, such as classifier=fc.", param, ctx)
        return old, new


@click.command("convert")
@click.argument("file")
@click.option("--model", required=True, metavar="NAME", type=MODEL, help="What it shall fit.")
@click.option("--out", metavar="FILE.safetensors", help="By default beside FILE.")
@click.option("--weights", metavar="TAG", help="Its tag in the manifest; by default its name.")
@click.option("--license", metavar="ID", help="The weights' licence, such as apache-2.0.")
@click.option(
    "--map",
    "key_map",
    multiple=True,
    type=Pair(),
    metavar="OLD=NEW",
    help="Rename tensors under OLD. May be repeated.",
)
@click.option("--drop", multiple=True, metavar="PREFIX", help="Leave tensors out. May be repeated.")
@click.option("--ema", is_flag=True, help="Take the averaged copy of the weights.")
@click.option("--by-order", is_flag=True, help="Match names left over by their order and shapes.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(file: str, model: str, as_json: bool, **options: Any) -> None:
    """Turn FILE, a checkpoint of torchvision, timm or Lightning, into safetensors for a model.

    No code in it is run. What was done to it, and the next command to type, goes to stderr, a table
    for the manifest of a plugin to stdout.
    """
    from zoo_core.model.convert.convert import convert

    done = convert(file, model, **options)
    if as_json:
        print_json(done.record())
        return
    for line in done.lines():
        note(line)
    echo_lines(done.manifest)
    note(f"Next: {done.next_command}")
    if "--labels" not in done.next_command:
        note(f"--labels FILE names its {done.num_classes} classes, a line each.")
