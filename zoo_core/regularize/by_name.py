"""Regularizers by name: `"l2=1e-4"` -> a stack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.plugins.catalogue import catalogue
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.regularize.stack import Stack
from zoo_core.types import Option, RegularizerSpec


def regularizers(chosen: Iterable[str | Regularizer] | str | Regularizer = ()) -> Stack:
    """A stack of regularizers: by name, with options, or as objects.

    `chosen`: one or several, each as `"name"`, `"name=0.01"` (its main option),
    `"name:option=value,option=value"`, or both. Raises UnknownName, RecipeError.

    >>> len(regularizers(["l2=1e-4", "early-stopping:patience=3,restore=true"]).members)
    2
    """
    if isinstance(chosen, str | Regularizer):
        return Stack([_one(chosen)])
    if isinstance(chosen, Mapping) or not isinstance(chosen, Iterable):
        message = f"Regularizers are a list of names and objects, not {chosen!r}."
        raise RecipeError(message, hint='Write ["l2=1e-4", "ema"].')
    return Stack([_one(item) for item in chosen])


def _one(item: str | Regularizer) -> Regularizer:
    if isinstance(item, Regularizer):
        return item
    if not isinstance(item, str):
        hint = f"Make one: {item.__name__}()." if isinstance(item, type) else ""
        raise RecipeError(f"A regularizer is a name or a Regularizer, not {item!r}.", hint=hint)
    head, _, tail = item.partition(":")
    name, has_value, value = head.partition("=")
    spec = catalogue().regularizer(name.strip())
    pairs = list(_pairs(item, tail))
    if has_value:
        if spec.value is None:
            raise RecipeError(f'"{spec.name}" takes no value: "{item}".', hint=_usage(spec))
        pairs.append((spec.value, value))
    texts = dict(pairs)
    if len(texts) < len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise RecipeError(f'"{item}" gives {twice} twice.', hint=_usage(spec))
    return _built(spec, texts, item)


def _pairs(item: str, text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise RecipeError(f'"{pair}" in "{item}" is no option=value.')
        yield key.strip(), value.strip()


def _built(spec: RegularizerSpec, texts: Mapping[str, str], item: str) -> Regularizer:
    options = {option.name: option for option in spec.options}
    for key in texts:
        if key not in options:
            message = f'{spec.name} has no option "{key}". {did_you_mean(key, options)}'.strip()
            raise UnknownName(message, hint=_usage(spec))
    missing = [o.name for o in spec.options if o.default is None and o.name not in texts]
    if missing:
        raise RecipeError(f'"{item}" needs {missing[0]}.', hint=_usage(spec))
    values = {key: _value(options[key], text, item) for key, text in texts.items()}
    try:
        made = spec.factory(**values)
    except ValueError as error:
        raise RecipeError(f'"{item}": {error}.', hint=_usage(spec)) from error
    made.name = spec.name
    return made


def _value(option: Option, text: str, item: str) -> Any:
    """The text as the type of the option's default; an option without one is a number."""
    type_ = float if option.default is None else type(option.default)
    if type_ is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
    else:
        with contextlib.suppress(ValueError):
            return type_(text)
    wanted = _KINDS.get(type_, type_.__name__)
    raise RecipeError(f'{option.name} in "{item}" must be {wanted}, not "{text}".')


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def _usage(spec: RegularizerSpec) -> str:
    value = f"={spec.value}" if spec.value else ""
    rest = ",".join(option.name for option in spec.options if option.name != spec.value)
    options = f", or {spec.name}:option=value with {rest}" if rest else ""
    return f"Write {spec.name}{value}{options}."
