"""What every public name says of itself: all arguments, errors, shapes and units, an example.

test_docstrings.py runs the examples; here is asked whether they are there, and of this name:

- Each argument of a function, and each field of a record, is named as `argument`.
- An example calls the function, or uses the class, method or property, and shows a result.
- Each error that it raises, itself or by a function of its module, is named, or a base of it. A
  function that takes something says what it raises for what it cannot use.
- Where tensors go in or out, a shape stands there. A field that is a figure has a unit.
"""

from __future__ import annotations

import ast
import dataclasses
import doctest
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import zoo_core as zoo
from zoo_core import errors

ERRORS = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
ERRORS = {name: value for name, value in ERRORS.items() if issubclass(value, Exception)}
OTHERS = {"hookimpl"}  # pluggy's, an object without a docstring of its own
SHAPE = re.compile(r"(?<!\w)\(\)|\((?:[A-Z]|\d+|n)(?:, ?(?:[A-Z]|\d+|…|\.\.\.))*,?\)|of any shape")
UNITS = {
    "accuracy": r"\[0, 1\]",
    "bytes": "`bytes`",
    "crop": r"\(0, 2\]",
    "gmacs": "billions of multiply-adds",
    "macts": "millions of activations",
    "map": r"\[0, 1\]",
    "probability": r"\[0, 1\]",
    "seconds": "seconds",
    "speed": "pictures a second",
    "spent": "seconds",
    "sizes": "bytes",
}


class Public(NamedTuple):
    """A public name: a function, a class, or what a class has. `owner`: the class, where there."""

    name: str
    thing: Any
    owner: type | None = None

    @property
    def function(self) -> Callable[..., Any] | None:
        """What is called: of a property its getter; None for a class."""
        thing = self.thing
        if isinstance(thing, property | functools.cached_property):
            return thing.fget if isinstance(thing, property) else thing.func
        if isinstance(thing, staticmethod | classmethod):
            return thing.__func__
        return thing if inspect.isfunction(thing) else None

    @property
    def is_property(self) -> bool:
        return isinstance(self.thing, property | functools.cached_property)

    @property
    def text(self) -> str:
        return inspect.getdoc(self.thing) or ""

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties that zoo wrote, of the class and of those that it stands on."""
    seen = set()
    for base in cls.__mro__:
        for name, value in vars(base).items():
            is_ours = base.__module__.startswith("zoo_core")
            kinds = property | functools.cached_property | staticmethod | classmethod
            is_one = inspect.isfunction(value) or isinstance(value, kinds)
            if is_ours and is_one and not name.startswith("_") and name not in seen:
                seen.add(name)
                if not is_elsewhere(cls, base) and not is_value(name, value):
                    yield name, value


def is_elsewhere(cls: type, base: type) -> bool:
    """Whether a base of a class is public itself, and says there what its methods are."""
    return base is not cls and base.__name__ in zoo.__all__


def is_value(name: str, value: Any) -> bool:
    """Whether it is a default value that can be called, such as a schedule, and no method."""
    return isinstance(value, staticmethod) and value.__func__.__name__ != name


def public() -> Iterator[Public]:
    for name in zoo.__all__:
        thing = getattr(zoo, name)
        if name not in OTHERS:
            yield Public(name, thing)
        if inspect.isclass(thing):
            for member, value in members(thing):
                yield Public(f"{name}.{member}", value, thing)


ALL = list(public())
every = pytest.mark.parametrize("one", ALL, ids=[one.name for one in ALL])


def test_the_reference_has_every_name() -> None:
    pages = Path(__file__).parents[1] / "docs/reference"
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages.rglob("*.rst"))
    assert set(zoo.__all__) - set(re.findall(r":: zoo_core\.(\w+)$", text, re.M)) == set()


@every
def test_it_says_what_it_is(one: Public) -> None:
    first = one.text.partition("\n\n")[0]
    assert first.rstrip(" \n").endswith((".", ":")), f"{one.name} has no first sentence"


@every
def test_it_names_its_arguments_and_fields(one: Public) -> None:
    named = set(re.findall(r"`\*{0,2}(\w+)", one.text))
    missing = [name for name in takes(one) if name not in named]
    assert missing == [], f"{one.name} does not say what {missing} mean"


def takes(one: Public) -> list[str]:
    """The arguments of a function, or the fields of a record."""
    if inspect.isclass(one.thing):
        if not dataclasses.is_dataclass(one.thing):
            return []
        return [field.name for field in dataclasses.fields(one.thing) if field.name[0] != "_"]
    assert one.function is not None
    names = list(inspect.signature(one.function).parameters)
    return [n for n in names if n not in ("self", "cls") and not one.is_property]


@every
def test_it_has_an_example(one: Public) -> None:
    owners = one.owner.__mro__ if one.owner else ()
    ours = [base for base in owners if base.__module__.startswith("zoo_core")]
    texts = [one.text, *(base.__doc__ or "" for base in ours)]
    shown = [examples(text) for text in texts]
    using = [g for g in shown if any(uses(source, one) or shows(want, one) for source, want in g)]
    assert using, f"no example uses {one.name}"
    assert any(want for group in using for _, want in group), f"{one.name}: no result is shown"


def examples(text: str) -> list[tuple[str, str]]:
    found = doctest.DocTestParser().get_examples(text)
    return [(example.source, example.want) for example in found]


def parts(thing: Any) -> set[str]:
    """The fields, methods and properties of a class."""
    if not inspect.isclass(thing):
        return set()
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    return {name for name, _ in members(thing)} | {field.name for field in fields}


def shows(want: str, one: Public) -> bool:
    """Whether a result is an error of that class."""
    return re.search(rf"^zoo_core\.errors\.{one.name}: ", want, re.M) is not None


def uses(source: str, one: Public) -> bool:
    """Whether code calls a function or a class, or takes an attribute of that name."""
    short = one.short
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == short:
            return True
        if isinstance(node, ast.FunctionDef) and node.name == short:
            return True  # a class that overrides it
        if not one.owner and isinstance(node, ast.Name) and node.id == short:
            return True
        if not one.owner and isinstance(node, ast.Attribute) and node.attr in parts(one.thing):
            return True  # a record that a function gives
    return False


@every
def test_it_names_its_errors(one: Public) -> None:
    if one.function is None:
        return
    said = {name for name in ERRORS if re.search(rf"\b{name}\b", one.text)}
    bases = {ERRORS[name] for name in said}
    raised = raises(one.function)
    unsaid = [e for e in sorted(raised) if not any(issubclass(ERRORS[e], b) for b in bases)]
    assert unsaid == [], f"{one.name} raises {unsaid}, and does not say so"
    if one.owner is None and takes(one):
        assert re.search(r"\b[Rr]aises?\b", one.text), f"{one.name} does not say what it raises"


def raises(function: Callable[..., Any], depth: int = 3) -> set[str]:
    """The errors of zoo in the code of a function, and in what it calls of its own module."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return set()
    caught = {n for node in ast.walk(tree) if isinstance(node, ast.Try) for n in handled(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(named, ast.Name) and named.id in ERRORS:
                found.add(named.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and depth:
            called = getattr(function, "__globals__", {}).get(node.func.id)
            if inspect.isfunction(called) and called.__module__ == function.__module__:
                found |= raises(called, depth - 1) - caught
    return found


def handled(node: ast.Try) -> Iterator[str]:
    for handler in node.handlers:
        for name in ast.walk(handler.type) if handler.type else ():
            if isinstance(name, ast.Name):
                yield name.id


@every
def test_it_has_shapes_where_tensors_are(one: Public) -> None:
    if "Tensor" in annotations(one):
        assert SHAPE.search(one.text), f"{one.name} has a tensor, and no shape such as (N, C, H, W)"


def annotations(one: Public) -> str:
    if one.function is not None:
        return " ".join(map(str, getattr(one.function, "__annotations__", {}).values()))
    if dataclasses.is_dataclass(one.thing):
        return " ".join(str(field.type) for field in dataclasses.fields(one.thing))
    return ""


@every
def test_figures_have_units(one: Public) -> None:
    if inspect.isclass(one.thing):
        names = takes(one)
    else:
        names = [one.short] if one.is_property else []
    lacking = [n for n in names if n in UNITS and not re.search(UNITS[n], one.text)]
    assert lacking == [], f"{one.name} does not say in what {lacking} are"
