"""Checks of the regularizers, weight sources and commands that a plugin offers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from zoo_core.conformance.cases import Case, Wish, expect
from zoo_core.conformance.regularizers import POINTS, look
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.types import RegularizerSpec, WeightSource

GIVEN = 0.1  # for an option that must be given: a number, as the command line reads it
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*")


def regularizer_cases(spec: RegularizerSpec) -> Iterator[Case]:
    """The contract of regularizers, and what its card says."""
    yield Case(spec.name, "is made", lambda: is_made(spec))
    for point in POINTS:
        yield Case(spec.name, point, partial(_looked_at, point, spec))
    yield Case(spec.name, "card", lambda: card(spec))


def is_made(spec: RegularizerSpec) -> str:
    """Its factory takes the options that are listed, and makes a Regularizer."""
    taken = inspect.signature(spec.factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        unknown = [option.name for option in spec.options if option.name not in taken]
        expect(not unknown, f"the factory has no {', '.join(unknown)}, which options lists.")
    names = [option.name for option in spec.options]
    expect(spec.value in (None, *names), f'value is "{spec.value}", which options does not list.')
    made = _made(spec)
    expect(isinstance(made, Regularizer), f"the factory makes a {type(made).__name__}.")
    return type(made).__name__


def card(spec: RegularizerSpec) -> None:
    """`zoo regularizers` can say what it does, where it acts, and what its options mean."""
    missing = [name for name in ("summary", "acts", "paper") if not getattr(spec, name)]
    missing += [f"meaning of {option.name}" for option in spec.options if not option.meaning]
    if missing:
        raise Wish(f"no {', '.join(missing)}: zoo regularizers {spec.name} would show it.")


def _made(spec: RegularizerSpec) -> Regularizer:
    made = spec.factory(**{o.name: GIVEN for o in spec.options if o.default is None})
    if isinstance(made, Regularizer):
        made.name = spec.name
    return made


def _looked_at(point: str, spec: RegularizerSpec) -> None:
    look(point, _made(spec))


def source_cases(source: WeightSource) -> Iterator[Case]:
    """What can be said of a weight source without asking it for anything."""
    yield Case(f"{source.scheme}:", "weight source", lambda: weight_source(source))


def weight_source(source: WeightSource) -> str:
    """Its scheme can stand in references, and its functions take what they are called with."""
    rule = "lower-case letters, digits, + and -"
    fault = f'"{source.scheme}" is no scheme: {rule}.'
    expect(bool(_SCHEME.fullmatch(source.scheme)), fault)
    asked = {"cache": Path(), "offline": True, "progress": False}
    _takes("fetch", source.fetch, "reference", None, **asked)
    if source.push is not None:
        how = {"private": False, "create_pr": False, "dry_run": True}
        _takes("push", source.push, "repository", None, **how)
    if not source.summary:
        raise Wish("no summary.")
    return source.summary


def _takes(name: str, function: object, *given: object, **named: object) -> None:
    assert callable(function), f"{name} is a {type(function).__name__}, no function."
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError as error:
        wanted = ", ".join(named)
        raise AssertionError(f"{name}() must take a reference and {wanted}: {error}.") from error


def command_cases(names: list[str], group: click.Group) -> Iterator[Case]:
    """What can be said of commands without running them."""
    for name in names:
        yield Case(f"zoo {name}", "command", partial(command, group.commands[name]))


def command(offered: click.Command) -> str:
    """Its help can be shown, and says something."""
    with click.Context(offered, info_name=offered.name) as context:
        offered.get_help(context)
    line = offered.get_short_help_str(200)
    if not line:
        raise Wish("no help: the docstring of its function is shown.")
    return line
