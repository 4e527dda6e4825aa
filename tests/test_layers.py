"""The rooms of zoo_core: imports only go down, no circle, and files of one idea.

`make lint` asks import-linter, which reads import statements. Here are the ways that it does not
read: modules named in strings, names that a package hands on, and the public facade.
"""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "zoo_core"

# The one loop at run time: a model's own push and save are those of the facade.
THROUGH_THE_FACADE = {"zoo_core.model.zoo_model"}

LARGEST_FILE, LONGEST_FUNCTION, FILES_ABOVE = 300, 60, 17


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of zoo_core by its dotted name."""
    files = (path for path in CORE.rglob("*.py") if "templates" not in path.parts)
    return {dotted(path): path for path in files}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_package(module: str) -> bool:
    return modules()[module].name == "__init__.py"


@functools.cache
def parsed(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@functools.cache
def levels() -> dict[str, int]:
    """The layer of each room, from the settings of import-linter: 0 is the lowest."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    layers = [re.split(r" [|:] ", layer) for layer in reversed(contract["layers"])]
    return {room: level for level, rooms in enumerate(layers) for room in rooms}


def room(module: str) -> str:
    return module.split(".")[1]


@functools.cache
def handed_on(package: str) -> dict[str, str]:
    """The names that a package hands on, and the module that each comes from."""
    imports = (node for node in ast.walk(parsed(package)) if isinstance(node, ast.ImportFrom))
    return {a.asname: str(n.module) for n in imports for a in n.names if a.asname == a.name}


def imported(module: str) -> Iterator[str]:
    """What a module imports: lazily, for types, through a package, or by name in a string."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_face = node.module in modules() and is_package(node.module)
                face = handed_on(node.module) if is_face else {}
                yield inner if inner in modules() else face.get(alias.name, node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^zoo_core(?:\.\w+)+$", node.value)


def known(module: str) -> Iterator[str]:
    """Those of them that are of zoo_core, without the module itself."""
    for name in imported(module):
        if name.split(".")[0] == "zoo_core" and name in modules() and name != module:
            yield name


@pytest.mark.parametrize("module", sorted(set(modules()) - {"zoo_core"}))
def test_imports_only_go_down(module: str) -> None:
    """Also between rooms of one layer, which the lowest two and the doors at the top may."""
    mine = levels()[room(module)]
    for other in known(module):
        if other == "zoo_core":
            assert module in THROUGH_THE_FACADE, f"{module} imports the facade"
            continue
        theirs = levels()[room(other)]
        inside = room(module) == room(other)
        assert inside or theirs <= mine, f"{module} imports {other}, which stands above it"


def test_no_circle() -> None:
    graph = {
        module: {other for other in known(module) if not is_package(other)}
        for module in modules()
        if not is_package(module)
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the modules of the circle


def test_every_package_says_in_one_line_what_it_is() -> None:
    for module in filter(is_package, modules()):
        title = (ast.get_docstring(parsed(module)) or "").split("\n")[0]
        assert 10 < len(title) <= 100 and title.endswith("."), module


def test_few_files_stand_outside_of_rooms() -> None:
    assert len(list(CORE.glob("*.py"))) <= FILES_ABOVE


def test_files_are_of_one_idea() -> None:
    """Without their docstrings, as functions below: what a name says of itself is not too much."""
    files = [*modules().values(), *(ROOT / "plugins").rglob("*.py")]
    assert not [path for path in files if code_lines(path) > LARGEST_FILE]


def code_lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return len(text.splitlines()) - sum(map(docstring_lines, nodes))


def test_functions_fit_the_eye() -> None:
    """Without their docstrings."""
    long = [
        f"{module}.{node.name}"
        for module in modules()
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef) and body_lines(node) > LONGEST_FUNCTION
    ]
    assert not long


def body_lines(function: ast.FunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1 - docstring_lines(function)


def docstring_lines(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
