"""Packages that hand names on lazily: the names, what type checkers see, and nothing else."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

import zoo_core

ROOT = Path(zoo_core.__file__).parent
FACES = sorted(
    ".".join(file.parent.relative_to(ROOT.parent).parts)
    for file in ROOT.rglob("__init__.py")
    if "handed_on(" in file.read_text(encoding="utf-8")
)

# What files of zoo_core reach through the facade, and nobody else needs.
UNLISTED = {"zoo_core": {"save_pretrained"}}


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def declared(face: ModuleType) -> dict[str, str]:
    """The names that a type checker sees, each with the module that it is imported from."""
    tree = ast.parse(Path(str(face.__file__)).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    block = next(node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}


def test_the_faces() -> None:
    packages = ("", ".data", ".model", ".plugins", ".regularize", ".runs", ".transfer")
    assert FACES == [f"zoo_core{package}" for package in packages]


def test_every_name_is_there(face: ModuleType) -> None:
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert name in dir(face)


def test_type_checkers_see_the_same(face: ModuleType) -> None:
    assert {*declared(face)} == {*face.__all__, *UNLISTED.get(face.__name__, ())}
    for name, module in declared(face).items():
        assert getattr(face, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name(face: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{face.__name__}' has no attribute 'nosuch'"):
        face.nosuch  # noqa: B018
    assert "nosuch" not in dir(face)


def test_no_name_is_also_a_file(face: ModuleType) -> None:
    """`from package import name` would give the file or what it holds, by what ran before."""
    files = {path.stem for path in Path(str(face.__file__)).parent.iterdir()}
    assert not files & {*face.__all__}
