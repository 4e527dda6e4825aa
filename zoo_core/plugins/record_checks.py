"""Whether what a hook returns holds what its record declares: nobody else checks a plugin's types.

A field that is of another kind would fail later, in a command that has nothing to do with the
plugin.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from zoo_core.types import Architecture, Option, RegularizerSpec, WeightSource

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class Rule(NamedTuple):
    """What a field must be, and how that is said."""

    holds: Callable[[Any], bool]
    wanted: str


_NAME = Rule(
    lambda value: isinstance(value, str) and NAME.fullmatch(value) is not None,
    'a name of letters, digits, "-", "_" and "."',
)
_TEXT = Rule(lambda value: isinstance(value, str), "a text")
_FUNCTION = Rule(callable, "a function")
_FUNCTION_OR_NONE = Rule(lambda value: value is None or callable(value), "a function or None")
_TEXT_OR_NONE = Rule(lambda value: value is None or isinstance(value, str), "a text or None")
_OPTIONS = Rule(
    lambda value: (
        isinstance(value, tuple | list)
        and all(isinstance(one, Option) and isinstance(one.name, str) for one in value)
    ),
    "Option records in a tuple",
)

RULES: dict[type, dict[str, Rule]] = {
    Architecture: {
        "name": _NAME,
        "build": _FUNCTION,
        "stages": _FUNCTION,
        "summary": _TEXT,
        "paper": _TEXT,
        "adapt": _FUNCTION_OR_NONE,
    },
    RegularizerSpec: {
        "name": _NAME,
        "factory": _FUNCTION,
        "options": _OPTIONS,
        "value": _TEXT_OR_NONE,
        "acts": _TEXT,
        "summary": _TEXT,
        "paper": _TEXT,
    },
    WeightSource: {
        "scheme": _NAME,
        "fetch": _FUNCTION,
        "summary": _TEXT,
        "push": _FUNCTION_OR_NONE,
    },
}


def _rules(offer: object) -> dict[str, Rule]:
    """Those of its class, or of the one that it is derived from."""
    return next((RULES[kind] for kind in type(offer).__mro__ if kind in RULES), {})


def wrong_field(offer: object) -> str:
    """Which field holds what it must not, and what it must; mostly nothing.

    >>> wrong_field(WeightSource("house", print))
    ''
    >>> wrong_field(WeightSource(print, "house"))
    'whose scheme is a builtin_function_or_method, not a name of letters, digits, "-", "_" and "."'
    """
    for name, rule in _rules(offer).items():
        value = getattr(offer, name)
        if not rule.holds(value):
            is_text = isinstance(value, str)
            shown = f'"{value[:40]}"' if is_text else f"a {type(value).__name__}"
            return f"whose {name} is {shown}, not {rule.wanted}"
    return ""
