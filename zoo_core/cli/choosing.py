"""The options by which `zoo list` chooses and sorts, as those of list_models()."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from zoo_core.browsing.amounts import amount, percentage
from zoo_core.browsing.ordering import SORTS, sort_key
from zoo_core.errors import UnknownName, ZooError


class Number(click.ParamType):
    """A number as people write it. `read`: gives it, or raises ZooError."""

    def __init__(self, read: Callable[[Any], float], name: str = "number") -> None:
        self.read, self.name = read, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.read(value)
        except ZooError as error:
            self.fail(error.message, param, ctx)


class SortKey(click.ParamType):
    """A key to sort by, with `-` in front for the other way round."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            sort_key(value)
        except UnknownName as error:
            self.fail(error.message, param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(key) for key in SORTS if key.startswith(incomplete)]


AMOUNT = Number(amount)
GMACS = Number(functools.partial(amount, unit=1e9))  # one without a letter counts in billions
PERCENTAGE = Number(percentage, "percentage")
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--max-params", {"type": AMOUNT, "metavar": "N", "help": "Parameters at most: 30M."}),
    (
        "--max-gmacs",
        {"type": GMACS, "metavar": "N", "help": "Multiply-adds at most: 4.5 or 500M."},
    ),
    ("--min-top1", {"type": PERCENTAGE, "metavar": "PERCENT", "help": "Top-1 at least."}),
    ("--max-input", {"type": AMOUNT, "metavar": "SIDE", "help": "Pictures at most so large."}),
    ("--licence", {"multiple": True, "metavar": "NAME", "help": "Of weights. May be repeated."}),
    ("--installed", {"is_flag": True, "help": "With weights on this machine."}),
)


def choosing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them; they arrive as keywords that wanted() takes."""
    for name, how in reversed(OPTIONS):
        command = click.option(name, **how)(command)
    return click.option(
        "--sort",
        type=SortKey(),
        metavar="KEY",
        help=f"By {', '.join(SORTS)}: best or smallest first, -KEY the other way round.",
    )(command)
